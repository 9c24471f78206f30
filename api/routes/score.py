"""vLLM's dialect of scoring pairs; failures have OpenAI's shape."""

import time

from fastapi import APIRouter, Request, Response

from api.bodies import answer, array_of
from api.errors import ApiError
from api.guard import GuardedRoute
from api.limits import check_sentences
from api.refusals import COMPUTES_BY_NAME, TRUNCATION, documented
from api.schemas.score import ScoreRequest, ScoreResponse
from api.service import Service
from api.work import Layout, Work

SCORE = "/v1/score"
SCORE_WITHOUT_VERSION = "/score"
_NUMBERS_OF_A_RESULT = 16  # writing one takes about as long as writing so many numbers
_DOCUMENTED = TRUNCATION | documented(SCORE, COMPUTES_BY_NAME)

router = APIRouter(route_class=GuardedRoute, tags=["vLLM"])


@router.post(SCORE, summary="Score pairs of texts", response_model=ScoreResponse, responses=_DOCUMENTED)
@router.post(SCORE_WITHOUT_VERSION, summary="Score pairs of texts", response_model=ScoreResponse, responses=_DOCUMENTED)
async def score(request: Request, body: ScoreRequest) -> Response:
    """Compare one text with one or with many, or as many with as many: the scores of the model's pair head."""
    service: Service = request.app.state.service
    model = service.find(body.model)
    check_sentences(service, model, text_1=body.text_1, text_2=body.text_2)
    first = [body.text_1] if isinstance(body.text_1, str) else body.text_1
    second = [body.text_2] if isinstance(body.text_2, str) else body.text_2
    if len(first) not in (1, len(second)):
        message = (
            f"text_1 has {len(first)} texts and text_2 has {len(second)}; "
            "one text_1 for all of text_2, or as many as there, are allowed"
        )
        raise ApiError(422, "invalid_request", message, field="text_1")
    request.state.method = "single" if len(second) == 1 else "batch"
    layout = Layout.one_to_many if len(first) == 1 else Layout.pairwise
    outcome = await service.compute(request, model, Work([*first, *second], layout, len(first)))
    scores = ({"index": i, "object": "score", "score": value} for i, value in enumerate(outcome.scores.tolist()))
    tokens = sum(outcome.token_counts)
    content = {
        "id": f"score-{request.state.request_id}",
        "object": "list",
        "created": int(time.time()),
        "model": model.name,
        "data": await array_of(scores, len(second) * _NUMBERS_OF_A_RESULT),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0},
    }
    return answer(content, {"x-truncated-inputs": str(sum(outcome.truncated))})
