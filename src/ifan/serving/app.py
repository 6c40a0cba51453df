"""The HTTP API."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.security import APIKeyHeader, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.staticfiles import StaticFiles

from ifan.serving import described
from ifan.serving.answers import EventStream, PictureResponse, events_of
from ifan.serving.desk import Desk
from ifan.serving.front import Front, owner_of
from ifan.serving.jobs import Job, JobDescription, Jobs
from ifan.serving.metrics import Metrics
from ifan.serving.orders import Result, Task
from ifan.serving.parameters import DeblurParameters, MapParameters, Parameters, of_models
from ifan.serving.problems import Problem
from ifan.serving.receiving import bad_parameter, receive_order
from ifan.serving.settings import Settings

JobName = Annotated[str, Path(description="The `id` of a job.")]

_PAGE = FilePath(__file__).with_name("page")

_TAKING = ("bad-request", "too-slow", "too-large", "not-a-picture", "bad-parameter", "busy")
_WORKING = (*_TAKING, "bad-picture", "bad-result", "failed", "not-ready", "too-long")


class ModelDescription(BaseModel):
    """A model that may be asked for."""

    name: str
    is_default: bool


class Offer(BaseModel):
    """What a server has, and what it takes."""

    models: list[ModelDescription]
    engine: str = Field(description="What runs the network.", examples=["openvino"])
    precision: str = Field(examples=["bf16"])
    dual_pixel: bool = Field(description="Whether the default model needs `left` and `right`.")
    max_upload_bytes: int = Field(description="Of a request, all its files together.")
    max_pixels: int = Field(description="Of a photograph.")
    result_seconds: float = Field(description="For which the result of a job is kept.")


class House:
    """All that the routes share.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.desk = Desk(settings, self.metrics)
        self.jobs = Jobs(settings, self.desk, self.metrics.jobs.set)


def create_app(settings: Settings) -> FastAPI:
    """Return the application; its worker starts and ends with it.

    Args:
        settings: of the server.
    """
    house = House(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await house.desk.worker.require()
        try:
            yield
        finally:
            await house.desk.worker.close()

    app = FastAPI(
        **described.document(),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages of documentation load scripts from another host
        redoc_url=None,
        responses=described.problems("forbidden"),
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.house = house
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_bad_parameter)
    app.add_exception_handler(HTTPException, _answer_routing)
    routers = (_open_routes(house), _routes(house), _job_routes(house))
    for router in routers:
        app.include_router(router)
    # FastAPI wraps what it includes, so that its own list does not show these.
    app.state.routes = [*app.routes, *(route for router in routers for route in router.routes)]
    app.mount("/page", StaticFiles(directory=_PAGE))
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "X-API-Key"],
            expose_headers=["Content-Disposition", "Location", "Retry-After", "Server-Timing"],
        )
    app.add_middleware(Front, settings=settings, metrics=house.metrics)
    return app


def _open_routes(house: House) -> APIRouter:
    """Return the routes for those who watch over servers, who have no key."""
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        """Return the page for people."""
        return FileResponse(_PAGE / "index.html")

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the server is alive."""
        return {"status": "alive"}

    @router.get("/readyz", responses=described.problems("not-ready"))
    async def readyz() -> dict[str, str]:
        """Say whether the server takes work."""
        # A worker that is missing is started by the next order: one has to be let through for it.
        if house.desk.is_closed:
            raise Problem("not-ready", "the server is stopping", "wait", {"Retry-After": "2"})
        return {"status": "ready"}

    return router


def _keyed(house: House) -> APIRouter:
    """Return a router whose routes need a key, if there are keys."""
    if not house.settings.api_keys:
        return APIRouter()
    schemes = [
        Depends(APIKeyHeader(name="X-API-Key", auto_error=False)),
        Depends(HTTPBearer(auto_error=False)),
    ]

    def require_key(request: Request) -> None:
        owner_of(request, house.settings)

    return APIRouter(
        dependencies=[*schemes, Depends(require_key)], responses=described.problems("unauthorized")
    )


def _routes(house: House) -> APIRouter:
    """Return the routes whose answer is the result."""
    router, settings = _keyed(house), house.settings
    deblur_parameters: Any = of_models(DeblurParameters, settings.models)
    map_parameters: Any = of_models(MapParameters, settings.models)

    @router.get("/v1/models")
    async def models() -> Offer:
        """Say which models there are, and what the server takes."""
        named = [
            ModelDescription(name=name, is_default=name == settings.models[0])
            for name in settings.models
        ]
        limits = settings.model_dump(include=set(Offer.model_fields) - {"models"})
        return Offer(models=named, **{**limits, **house.desk.worker.description})

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Tell Prometheus how the server is doing."""
        return Response(house.metrics.text(house.desk.worker), media_type=CONTENT_TYPE_LATEST)

    async def place() -> AsyncIterator[None]:
        """Hold a place until the answer is sent."""
        with house.desk.place():
            yield

    @router.post(
        "/v1/deblur",
        dependencies=[Depends(place)],
        response_class=Response,
        responses=described.picture("The all-in-focus photograph.") | described.problems(*_WORKING),
        openapi_extra=described.request_body(deblur_parameters),
    )
    async def deblur(
        request: Request, parameters: Annotated[deblur_parameters, Query()]
    ) -> Response:
        """Deblur a photograph. Metadata, colours, bit depth and transparency are kept."""
        return await answer(request, "deblur", parameters)

    @router.post(
        "/v1/defocus-map",
        dependencies=[Depends(place)],
        response_class=Response,
        responses=described.picture("The map.") | described.problems(*_WORKING),
        openapi_extra=described.request_body(map_parameters),
    )
    async def defocus_map(
        request: Request, parameters: Annotated[map_parameters, Query()]
    ) -> Response:
        """Show how far each part of a photograph is out of focus."""
        return await answer(request, "defocus-map", parameters)

    async def answer(request: Request, task: Task, parameters: Parameters) -> Response:
        order = await receive_order(request, task, parameters, settings)
        work = house.desk.carry_out(order, lambda _state, _before: None)
        result = await _unless_gone(request, work)
        return PictureResponse(result, is_last=True)

    return router


def _job_routes(house: House) -> APIRouter:
    """Return the routes of work that one asks for, watches, and whose result one fetches."""
    router, settings, jobs = _keyed(house), house.settings, house.jobs
    parameters_of_job: Any = of_models(DeblurParameters, settings.models)
    missing = described.problems("not-found")

    def job_of(request: Request, id: JobName) -> Job:  # noqa: A002
        return jobs.find(id, owner_of(request, settings))

    @router.post(
        "/v1/jobs",
        status_code=202,
        responses=described.problems(*_TAKING, "not-ready"),
        openapi_extra=described.request_body(parameters_of_job),
    )
    async def start_job(
        request: Request, response: Response, parameters: Annotated[parameters_of_job, Query()]
    ) -> JobDescription:
        """Begin to deblur a photograph."""
        jobs.require_room()
        with ExitStack() as place:
            place.enter_context(house.desk.place())
            order = await receive_order(request, "deblur", parameters, settings)
            job = jobs.start(order, owner_of(request, settings), place.pop_all())
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return job.describe()

    @router.get("/v1/jobs/{id}", responses=missing)
    async def job_state(job: Annotated[Job, Depends(job_of)]) -> JobDescription:
        """Say how a job is going."""
        return job.describe()

    @router.get(
        "/v1/jobs/{id}/events",
        response_class=EventStream,
        responses=missing | described.events(),
    )
    async def job_events(job: Annotated[Job, Depends(job_of)]) -> Response:
        """Say how a job is going, as server-sent events, until it is over."""
        return EventStream(events_of(job), headers={"X-Accel-Buffering": "no"})

    @router.get(
        "/v1/jobs/{id}/result",
        response_class=Response,
        responses=described.picture("The all-in-focus photograph.")
        | missing
        | described.problems("not-finished"),
    )
    async def job_result(job: Annotated[Job, Depends(job_of)]) -> Response:
        """Fetch the result of a job."""
        return PictureResponse(job.fetched(), is_last=False)

    @router.delete("/v1/jobs/{id}", status_code=204, responses=missing)
    async def end_job(job: Annotated[Job, Depends(job_of)]) -> None:
        """End a job, and forget its result."""
        jobs.forget(job)

    return router


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Wait for work as long as the client does."""
    tasks = asyncio.create_task(work), asyncio.create_task(_leaving(request))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise Problem("bad-request", "the client went away", "stay")
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _answer_problem(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)  # noqa: S101, this is what it is registered for
    return problem.response()


async def _answer_bad_parameter(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return bad_parameter(error.errors()[0]).response()


async def _answer_routing(request: Request, error: Exception) -> Response:
    """Answer what Starlette says of paths and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101
    kinds = {400: "bad-request", 404: "not-found", 405: "method-not-allowed"}
    kind = kinds.get(error.status_code, "failed")
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(_methods_of(request)))
    remedy = "see GET /openapi.json for what there is"
    return Problem(kind, error.detail, remedy, headers).response()


def _methods_of(request: Request) -> set[str]:
    """Return what can be done at a path; Starlette knows the methods of its first route only."""
    routes = [route for route in request.app.state.routes if isinstance(route, Route)]
    there = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in there for method in route.methods or ()}
