"""Fields of the running kernel, found by their names: the same object on kernels that differ."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from probe_samples import Types

from bothways.trace.probe import btf_kinds
from bothways.trace.probe import relocate as kinds
from bothways.trace.probe.btf import Btf
from bothways.trace.probe.extension import FieldRelocation
from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.relocate import Missing, Relocator, Value, essential


def local() -> tuple[Btf, dict[str, int]]:
    """Types as an object knows them: few members, in places of their own."""
    types = Types()
    word, half = types.integer("unsigned int", 4), types.integer("unsigned short", 2)
    number = types.integer("int", 4, signed=True)
    pointer = types.pointer(0)
    net = types.struct("net", 4, [("inum", word, 0)])
    device = types.struct(
        "net_device",
        32,
        [("name", types.array(types.integer("char", 1), 16), 0), ("net", net, 16), ("ifindex", number, 20)],
    )
    packet = types.struct(
        "sk_buff",
        32,
        [("dev", types.pointer(device), 0), ("len", word, 8), ("gone", half, 12), ("priority", word, 16)],
    )
    old = types.struct("sk_buff___before_6", 8, [("vlan_all", word, 0)])
    reason = types.enum("skb_drop_reason", {"SKB_DROP_REASON_NO_SOCKET": 3, "SKB_DROP_REASON_GONE": 4})
    table = types.struct("table", 16, [("slots", types.array(net, 4), 0)])
    flags = types.bits("flags", 4, [("up", word, 0, 1), ("kind", word, 1, 3)])
    function = types.typedef(
        "btf_trace_kfree_skb", types.pointer(types.prototype([("", pointer), ("", pointer)]))
    )
    return Btf(types.image(), name="object"), {
        "sk_buff": packet,
        "old": old,
        "net_device": device,
        "reason": reason,
        "table": table,
        "flags": flags,
        "tracepoint": function,
    }


def kernel(
    build: Callable[[Types], object], modules: dict[str, Callable[[Types], object]] | None = None
) -> Kernel:
    types = Types()
    build(types)
    built = {}
    for name, build_module in (modules or {}).items():
        module = Types(types)
        build_module(module)
        built[name] = module.image()
    return Kernel(types.image(), built)


def ask(running: Kernel, name: str, access: str, kind: int) -> Value | str:
    """Resolve one relocation; the name of what is missing where it is."""
    image, numbers = local()
    try:
        return Relocator(image, running).value(FieldRelocation(0, numbers[name], access, kind))
    except Missing as missing:
        return str(missing)


def moved(types: Types) -> None:
    """Members stand elsewhere, and some inside anonymous unions."""
    word, half = types.integer("unsigned int", 4), types.integer("unsigned short", 2)
    wide = types.integer("unsigned long", 8)
    device = types.struct("net_device", 64, [("ifindex", types.integer("int", 4, signed=True), 40)])
    inner = types.struct("", 16, [("vlan_all", word, 4), ("dev", types.pointer(device), 8)])
    union = types.struct("", 16, [("rbnode", inner, 0), ("", inner, 0)], kind=btf_kinds.UNION)
    types.struct(
        "sk_buff", 96, [("", union, 24), ("len", word, 60), ("other", half, 2), ("priority", wide, 64)]
    )
    net = types.struct("net", 8, [("inum", word, 4)])
    types.struct("table", 80, [("slots", types.array(net, 8), 16)])
    types.enum("skb_drop_reason", {"SKB_NOT_DROPPED_YET": 0, "SKB_DROP_REASON_NO_SOCKET": 7})
    types.bits("flags", 8, [("spare", word, 0, 30), ("kind", word, 35, 3), ("up", word, 38, 1)])
    types.typedef(
        "btf_trace_kfree_skb",
        types.pointer(types.prototype([("", types.pointer(0)), ("", types.pointer(0))])),
    )


@pytest.mark.parametrize(
    ("name", "access", "kind", "answer"),
    [
        ("sk_buff", "0:1", kinds.BYTE_OFFSET, Value(60)),
        ("sk_buff", "0:0", kinds.BYTE_OFFSET, Value(32)),
        ("sk_buff", "0:2", kinds.BYTE_OFFSET, "sk_buff.gone"),
        ("sk_buff", "0:2", kinds.FIELD_EXISTS, Value(0)),
        ("sk_buff", "0:0", kinds.FIELD_EXISTS, Value(1)),
        ("sk_buff", "0:1", kinds.BYTE_SIZE, Value(4)),
        ("sk_buff", "0:3", kinds.BYTE_OFFSET, Value(64, 8, adaptable=True)),
        ("sk_buff", "0:3", kinds.BYTE_SIZE, Value(8)),
        ("sk_buff", "0", kinds.TYPE_SIZE, Value(96)),
        ("old", "0:0", kinds.BYTE_OFFSET, Value(28)),
        ("net_device", "0:2", kinds.BYTE_OFFSET, Value(40)),
        ("net_device", "0:2", kinds.SIGNED, Value(1)),
        ("net_device", "0:0:3", kinds.BYTE_OFFSET, "net_device.name[3]"),
        ("table", "0:0:2:0", kinds.BYTE_OFFSET, Value(16 + 2 * 8 + 4)),
        ("table", "1:0:0:0", kinds.BYTE_OFFSET, Value(80 + 16 + 4)),
        ("reason", "0", kinds.VALUE, Value(7)),
        ("reason", "0", kinds.VALUE_EXISTS, Value(1)),
        ("reason", "1", kinds.VALUE_EXISTS, Value(0)),
        ("reason", "1", kinds.VALUE, "skb_drop_reason.SKB_DROP_REASON_GONE"),
        ("reason", "0", kinds.TYPE_EXISTS, Value(1)),
        ("tracepoint", "0", kinds.TYPE_EXISTS, Value(1)),
        # kind stands at bits 35 … 37, so in the word that starts at byte 4
        ("flags", "0:1", kinds.BYTE_OFFSET, Value(4)),
        ("flags", "0:1", kinds.BYTE_SIZE, Value(4)),
        ("flags", "0:1", kinds.LEFT_SHIFT, Value(64 - (3 + 35 - 32))),
        ("flags", "0:1", kinds.RIGHT_SHIFT, Value(61)),
    ],
)
def test_an_object_finds_its_fields_where_this_kernel_has_them(
    name: str, access: str, kind: int, answer: Value | str
) -> None:
    assert ask(kernel(moved), name, access, kind) == answer


def nothing(types: Types) -> None:
    types.integer("int", 4, signed=True)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (kinds.FIELD_EXISTS, Value(0)),
        (kinds.TYPE_EXISTS, Value(0)),
        (kinds.BYTE_OFFSET, "sk_buff"),
        (kinds.TYPE_SIZE, "sk_buff"),
        (kinds.TYPE_TARGET, "sk_buff"),
    ],
)
def test_a_type_that_is_not_there(kind: int, answer: Value | str) -> None:
    assert ask(kernel(nothing), "sk_buff", "0", kind) == answer


def test_a_type_is_looked_for_in_modules_where_the_kernel_knows_its_name_alone() -> None:
    def forward(types: Types) -> None:
        types.add("table", btf_kinds.FWD, 0)

    def module(types: Types) -> None:
        net = types.struct("net", 4, [("inum", types.integer("unsigned int", 4), 0)])
        types.struct("table", 64, [("slots", types.array(net, 4), 48)])

    def other(types: Types) -> None:
        types.struct("else", 4, [])

    running = kernel(forward, {"other": other, "tables": module})
    assert ask(running, "table", "0:0:1:0", kinds.BYTE_OFFSET) == Value(52)
    assert ask(kernel(forward, {"other": other}), "table", "0:0:1:0", kinds.FIELD_EXISTS) == Value(0)


def test_two_types_of_one_name_that_differ_are_no_answer() -> None:
    def twice(types: Types) -> None:
        word = types.integer("unsigned int", 4)
        types.struct("sk_buff", 8, [("len", word, 0)])
        types.struct("sk_buff", 16, [("len", word, 12)])

    assert ask(kernel(twice), "sk_buff", "0:1", kinds.BYTE_OFFSET) == "sk_buff.len"
    assert ask(kernel(twice), "sk_buff", "0:1", kinds.FIELD_EXISTS) == Value(1)
    assert ask(kernel(twice), "sk_buff", "0:1", kinds.BYTE_SIZE) == Value(4)


def test_a_member_of_another_kind_is_not_the_same_member() -> None:
    def other(types: Types) -> None:
        types.struct(
            "sk_buff", 8, [("len", types.pointer(0), 0), ("dev", types.integer("unsigned long", 8), 0)]
        )

    assert ask(kernel(other), "sk_buff", "0:1", kinds.FIELD_EXISTS) == Value(0)
    assert ask(kernel(other), "sk_buff", "0:0", kinds.BYTE_OFFSET) == "sk_buff.dev"


def test_a_signed_field_of_another_width_cannot_be_loaded() -> None:
    def wide(types: Types) -> None:
        types.struct("net_device", 16, [("ifindex", types.integer("long", 8, signed=True), 8)])

    assert ask(kernel(wide), "net_device", "0:2", kinds.BYTE_OFFSET) == Value(8, 8, adaptable=False)


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("sk_buff", "sk_buff"),
        ("sk_buff___old", "sk_buff"),
        ("sk_buff___a___b", "sk_buff___a"),
        ("___x", "___x"),
        ("a____b", "a____b"),
        ("a___", "a___"),
    ],
)
def test_a_suffix_tells_shapes_of_one_type_apart(name: str, cut: str) -> None:
    assert essential(name) == cut
