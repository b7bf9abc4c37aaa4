"""A Starlette app."""

import asyncio
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

templates = Jinja2Templates(directory="templates")


@asynccontextmanager
async def lifespan(app):
    await asyncio.sleep(0)
    yield {"started": "yes"}


async def item(request):
    await asyncio.sleep(0.001)
    return JSONResponse({"number": request.path_params["number"], "started": request.state.started})


def plain(request):
    return PlainTextResponse("from a function that is not async")


async def page(request):
    return templates.TemplateResponse(request, "page.html", {"name": request.path_params["name"]})


async def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return PlainTextResponse(str(request.session["count"]))


async def upload(request):
    form = await request.form()
    data = await form["file"].read()
    return JSONResponse({"name": form["file"].filename, "size": len(data)})


async def form(request):
    return JSONResponse({"name": (await request.form())["name"]})


async def stream(request):
    async def parts():
        for part in range(3):
            yield f"{part}\n"
            await asyncio.sleep(0.001)

    return StreamingResponse(parts(), media_type="text/plain", background=BackgroundTask(print, "afterwards"))


async def together(request):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.sleep(0.01, number)) for number in range(3)]
    return JSONResponse([task.result() for task in tasks])


async def teapot(request):
    raise HTTPException(418, "short and stout")


async def broken(request):
    return {}["nothing"]


async def handled(request, error):
    return PlainTextResponse(f"handled {error.detail}", error.status_code)


app = Starlette(
    routes=[
        Route("/item/{number:int}", item),
        Route("/plain", plain),
        Route("/page/{name}", page),
        Route("/count", count),
        Route("/upload", upload, methods=["POST"]),
        Route("/form", form, methods=["POST"]),
        Route("/stream", stream),
        Route("/together", together),
        Route("/teapot", teapot),
        Route("/broken", broken),
        Mount("/static", StaticFiles(directory="static"), name="static"),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key="not secret: a test's")],
    exception_handlers={HTTPException: handled},
    lifespan=lifespan,
)
