"""A Flask app as its documentation would have it: nothing in it knows of a sandbox."""

import time

from flask import Flask, Response, abort, flash, get_flashed_messages, jsonify, make_response, redirect
from flask import render_template, request, send_file, session, stream_with_context, url_for
from werkzeug.security import check_password_hash, generate_password_hash

app = Flask(__name__)
app.secret_key = "not secret: a test's"


@app.before_request
def note():
    request.started = time.monotonic()


@app.after_request
def told(response):
    response.headers["X-After"] = "yes"
    return response


@app.get("/")
def home():
    return "home"


@app.get("/item/<int:number>")
def item(number):
    return jsonify(number=number, path=request.path, root=request.script_root)


@app.get("/page/<name>")
def page(name):
    return render_template("page.html", name=name, items=["one", "<two>"])


@app.post("/form")
def form():
    return {"name": request.form["name"], "all": request.form.getlist("tick")}


@app.post("/upload")
def upload():
    file = request.files["file"]
    data = file.read()
    return {"name": file.filename, "size": len(data), "sum": sum(data) % 65536}


@app.post("/json")
def json():
    return jsonify(request.get_json())


@app.get("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


@app.get("/flash")
def flashed():
    flash("seen")
    return str(get_flashed_messages())


@app.get("/cookie")
def cookie():
    response = make_response(request.cookies.get("seen", "new"))
    response.set_cookie("seen", "yes", httponly=True, samesite="Lax")
    response.set_cookie("other", "too")
    return response


@app.get("/go")
def go():
    return redirect(url_for("item", number=3))


@app.get("/abort")
def aborted():
    abort(418)


@app.get("/broken")
def broken():
    return {}["nothing"]


@app.errorhandler(404)
def not_found(error):
    return f"no {request.path} here", 404


@app.get("/stream")
def stream():
    def parts():
        for part in range(3):
            yield f"{part} {request.args['q']}\n"

    return Response(stream_with_context(parts()), mimetype="text/plain")


@app.get("/sent")
def sent():
    return send_file("static/style.css", download_name="other.css", as_attachment=True)


@app.get("/password")
def password():
    stored = generate_password_hash("horse")
    return str((check_password_hash(stored, "horse"), check_password_hash(stored, "cow")))
