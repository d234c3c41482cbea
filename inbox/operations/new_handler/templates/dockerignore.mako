# Nothing but what the wheel is made of: no .git, no .env, no secrets that lie beside it.
*
!pyproject.toml
!README.md
!${module}
**/__pycache__
