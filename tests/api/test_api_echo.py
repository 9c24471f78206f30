"""What a refusal repeats of the names that came: no more than a name of the allowed length."""

import pytest

from tests.api.document import ROUTES, check, least_body, post

MARK = "zqxj" * 250
MOST_REPEATED = 200  # as long as a served model's name may be


def check_echo(path, response):
    check(path, response)
    assert response.status_code == 200 or MARK[: MOST_REPEATED + 1] not in response.text
    assert response.status_code == 200 or len(response.content) < 3000


@pytest.mark.parametrize("path", ROUTES)
def test_a_long_name_of_a_field(client, path):
    check_echo(path, post(client, path, least_body(path, "dog") | {MARK: 1}))
    check_echo(path, post(client, path, least_body(path, "dog") | {f"{number}{MARK}": 1 for number in range(20)}))


@pytest.mark.parametrize("path", ROUTES)
def test_a_long_name_of_a_model(client, path):
    check_echo(path, post(client, path, least_body(path, "dog") | {"model": MARK}))


def test_a_long_name_of_a_model_in_the_path(client):
    response = client.get(f"/v1/models/{MARK}")
    assert response.status_code == 404
    assert MARK[: MOST_REPEATED + 1] not in response.text
