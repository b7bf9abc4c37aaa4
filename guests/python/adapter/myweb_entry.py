"""What the component exports. It is imported once, while the component is built: all that it does is in the snapshot."""

from myweb_adapter import boot

_answer = boot.build()


class WitWorld:
    """The world `asgi-app`."""

    application = staticmethod(_answer)


class Wsgi:
    """The interface `wsgi` of the world `wsgi-app`."""

    call = staticmethod(_answer)
