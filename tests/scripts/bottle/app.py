"""A Bottle app."""

from bottle import Bottle, error, request, response, static_file, template

app = Bottle()


@app.get("/item/<number:int>")
def item(number):
    return {"number": number}


@app.get("/page/<name>")
def page(name):
    return template("page", name=name)


@app.get("/count")
def count():
    seen = int(request.get_cookie("count", secret="key") or 0) + 1
    response.set_cookie("count", str(seen), secret="key")
    return str(seen)


@app.post("/form")
def form():
    return {"name": request.forms.name}


@app.post("/upload")
def upload():
    file = request.files.get("file")
    return {"name": file.filename, "size": len(file.file.read())}


@app.get("/static/<path:path>")
def static(path):
    return static_file(path, root="static")


@app.error(404)
def not_found(error):
    return "nothing here"


assert error
