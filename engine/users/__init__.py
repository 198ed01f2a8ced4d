"""Users, their passwords and keys, and the tokens of those who have signed in."""

from engine.users.errors import AuthenticationError
from engine.users.keys import Keys
from engine.users.passwords import Hasher
from engine.users.secret import secret_of
from engine.users.users import FIRST_ADMIN, Users
from engine.users.views import KeyView, UserView

__all__ = [
    "FIRST_ADMIN",
    "AuthenticationError",
    "Hasher",
    "KeyView",
    "Keys",
    "UserView",
    "Users",
    "secret_of",
]
