"""The part of msgspec that the agent uses, in plain Python: the same classes, the same documents.

msgspec is compiled for one Python and one kind of processor, so it cannot be sent to another host. `push` sends
these modules in its place, under its name; here nothing imports them. They are slower, and what they lack is an
error, not another result. Imports the standard library only. Its tests are in `tests/sources/test_push.py`.
"""

from __future__ import annotations

from . import json as json
from . import structs as structs
from ._convert import convert as convert
from ._convert import to_builtins as to_builtins
from ._struct import UNSET as UNSET
from ._struct import DecodeError as DecodeError
from ._struct import Meta as Meta
from ._struct import MsgspecError as MsgspecError
from ._struct import Struct as Struct
from ._struct import UnsetType as UnsetType
from ._struct import ValidationError as ValidationError
from ._struct import defstruct as defstruct
from ._struct import field as field
