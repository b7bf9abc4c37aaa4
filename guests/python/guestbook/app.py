"""A guest book of one visitor, in Flask: what was written is in the session's signed cookie."""

import os

from flask import Flask, redirect, render_template, request, session, url_for

app = Flask(__name__)
# From the environment: what is made at import would be in the component.
app.secret_key = os.environ.get("SECRET_KEY", "for development only")


@app.get("/")
def show():
    return render_template("book.html", entries=session.get("entries", []))


@app.post("/")
def write():
    entries = session.get("entries", [])
    session["entries"] = [*entries, request.form["entry"][:80]][-10:]
    return redirect(url_for("show"), 303)
