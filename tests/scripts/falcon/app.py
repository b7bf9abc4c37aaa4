"""A Falcon app."""

import falcon


class Item:
    def on_get(self, req, resp, number):
        resp.media = {"number": number, "q": req.get_param("q")}

    def on_post(self, req, resp, number):
        resp.status = falcon.HTTP_201
        resp.media = req.get_media()


class Count:
    def on_get(self, req, resp):
        seen = int(req.get_cookie_values("count")[0]) if "count" in req.cookies else 0
        resp.set_cookie("count", str(seen + 1), secure=False)
        resp.text = str(seen + 1)


class Upload:
    def on_post(self, req, resp):
        for part in req.get_media():
            resp.media = {"name": part.filename, "size": len(part.stream.read())}


def broken(req, resp, error, params):
    resp.status = falcon.HTTP_409
    resp.text = f"handled {error}"


class Broken:
    def on_get(self, req, resp):
        raise KeyError("lost")


app = falcon.App()
app.add_route("/item/{number:int}", Item())
app.add_route("/count", Count())
app.add_route("/upload", Upload())
app.add_route("/broken", Broken())
app.add_error_handler(KeyError, broken)
app.add_static_route("/static", "/app/static")
