"""Shows a picture, which is a file of the app."""


def app(environ, start_response):
    with open("pic.jpg", "rb") as file:
        picture = file.read()
    start_response("200 OK", [("Content-Type", "image/jpeg")])
    return [picture]
