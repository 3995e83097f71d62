"""Which page shows what."""

from __future__ import annotations

from textual.screen import Screen

from sockmon.model.conntrack_flows import FlowQuery, FlowsQuery
from sockmon.model.detail import DetailQuery, GroupQuery, ListenerQuery, ProcessQuery
from sockmon.model.netns_rules import NetnsQuery
from sockmon.model.process_facts import DescriptorsQuery
from sockmon.model.report import Reading
from sockmon.model.socket_detail import SocketQuery
from sockmon.ui.detail.addresses import AddressesScreen
from sockmon.ui.detail.ceiling import CeilingScreen
from sockmon.ui.detail.descriptors import DescriptorsScreen
from sockmon.ui.detail.flow import FlowScreen
from sockmon.ui.detail.flows import FlowsScreen
from sockmon.ui.detail.listener import ListenerScreen
from sockmon.ui.detail.port_group import PortGroupScreen
from sockmon.ui.detail.process import ProcessScreen
from sockmon.ui.detail.socket_list import SocketListScreen
from sockmon.ui.detail.socket_page import SocketScreen
from sockmon.ui.detail.sockets_place import SocketsPlace


def screen_for(thing: DetailQuery | Reading | SocketsPlace) -> Screen[None]:
    """Return the page of a ceiling, a process, a port group, a listener or a socket, or the list of sockets."""
    if isinstance(thing, Reading):
        return CeilingScreen(thing.key, thing.netns)
    if isinstance(thing, SocketsPlace):
        return SocketListScreen(thing)
    if isinstance(thing, SocketQuery):
        return SocketScreen(thing)
    if isinstance(thing, ProcessQuery):
        return ProcessScreen(thing)
    if isinstance(thing, DescriptorsQuery):
        return DescriptorsScreen(thing)
    if isinstance(thing, NetnsQuery):
        return AddressesScreen(thing)
    if isinstance(thing, GroupQuery):
        return PortGroupScreen(thing)
    if isinstance(thing, FlowsQuery):
        return FlowsScreen(thing)
    if isinstance(thing, FlowQuery):
        return FlowScreen(thing)
    assert isinstance(thing, ListenerQuery)
    return ListenerScreen(thing)
