"""How a rank other than the first ends where it meets a user's error."""

from unittest import mock

import pytest

from serving.job.errors import UserError
from serving.job.spec import USER_ERROR_EXIT_CODE
from tests.training.conftest import MakeSpec
from training import main, ranks, train


@pytest.mark.parametrize(
    ("rank", "place", "code"),
    [
        # Beside rank 0, which says it.
        (1, 1, 0),
        # On other machines, where nobody else would know.
        (1, 0, USER_ERROR_EXIT_CODE),
        (3, 1, USER_ERROR_EXIT_CODE),
    ],
)
def test_only_another_machine_says_that_it_met_a_users_error(
    make_spec: MakeSpec,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    rank: int,
    place: int,
    code: int,
) -> None:
    monkeypatch.setenv(main.RANK_VARIABLE, str(rank))
    monkeypatch.setenv(ranks.PLACE_VARIABLE, str(place))
    with mock.patch.object(train, "follow", side_effect=UserError("no features here")):
        assert main.run_beside(make_spec()) == code
    assert capfd.readouterr().err == ("ERROR: no features here\n" if code else "")
