"""What a pipeline says of the statement that failed in it."""

import psycopg
import pytest
from psycopg import errors

from inbox.store.postgres.pinned_connection import _of_what_failed


def end_of_pipeline() -> None:
    """As `psycopg.BasePipeline._exit_gen`."""
    try:
        raise errors.DivisionByZero
    finally:
        raise errors.PipelineAborted


def test_the_end_of_a_pipeline_raises_the_error_of_the_statement_that_failed() -> None:
    with pytest.raises(errors.DivisionByZero), _of_what_failed():
        end_of_pipeline()


def test_a_statement_that_was_not_executed_says_so_where_nothing_else_is_known() -> None:
    with pytest.raises(errors.PipelineAborted), _of_what_failed():
        raise errors.PipelineAborted


def test_any_other_error_is_itself() -> None:
    with pytest.raises(psycopg.OperationalError), _of_what_failed():
        raise psycopg.OperationalError
