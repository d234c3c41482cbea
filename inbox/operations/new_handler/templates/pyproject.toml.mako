[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "${name}"
version = "0.1.0"
description = "A handler for kafka-inbox."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["kafka-inbox"]

[project.optional-dependencies]
test = ["kafka-inbox[testing]"]

# What a route's `handler = "${module}"` is looked up in.
[project.entry-points."inbox.handlers"]
${module} = "${module}.handlers:${module}"

[tool.hatch.build.targets.wheel]
packages = ["${module}"]
