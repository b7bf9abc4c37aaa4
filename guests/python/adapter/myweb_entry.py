"""What the component exports. It is imported once, while the component is built: all that it does is in the snapshot."""

import wit_world

from myweb_adapter import boot

_answer = boot.build()


class WitWorld(wit_world.WitWorld):
    """The world `application` of myweb:handler."""

    def application(self, env):
        return _answer(env)
