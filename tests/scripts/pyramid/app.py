"""A Pyramid app."""

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory


def item(request):
    return {"number": int(request.matchdict["number"])}


def page(request):
    return {"name": request.matchdict["name"]}


def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return Response(str(request.session["count"]))


def upload(request):
    file = request.POST["file"]
    return {"name": file.filename, "size": len(file.file.read())}


def form(request):
    return {"name": request.POST["name"]}


def go(request):
    return HTTPFound(request.route_url("item", number=3))


def not_found(request):
    request.response.status = 404
    return {"missing": request.path_info}


with Configurator() as config:
    config.include("pyramid_jinja2")
    config.set_session_factory(SignedCookieSessionFactory("not secret: a test's"))
    for name, path, view, renderer in [
        ("item", "/item/{number}", item, "json"),
        ("page", "/page/{name}", page, "templates/page.jinja2"),
        ("count", "/count", count, None),
        ("upload", "/upload", upload, "json"),
        ("form", "/form", form, "json"),
        ("go", "/go", go, None),
    ]:
        config.add_route(name, path)
        config.add_view(view, route_name=name, renderer=renderer)
    config.add_notfound_view(not_found, renderer="json")
    config.add_static_view("static", "static")
    app = config.make_wsgi_app()
