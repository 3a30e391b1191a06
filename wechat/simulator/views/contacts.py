"""Members, departments, the application itself and its menu."""

from wechat.simulator.config import Department, Member
from wechat.simulator.state import Json, Refused
from wechat.simulator.views.endpoint import ApiCall, endpoint

TOP_BUTTONS, SUB_BUTTONS = 3, 5
BUTTON_KINDS = (
    "click", "view", "scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album", "pic_weixin",
    "location_select", "view_miniprogram",
)  # fmt: skip


@endpoint("user/get")
def user(call: ApiCall) -> Json:
    """Describe a member, without what applications made after June 2022 no longer get."""
    member = call.world.member(call.query("userid"))
    if member is None:
        raise Refused(60111, "userid not found")
    return _full(member)


def _full(member: Member) -> Json:
    return {
        "userid": member.userid,
        "name": member.name,
        "department": [member.department],
        "order": [0],
        "position": "",
        "status": member.status,
        "is_leader_in_dept": [0],
        "direct_leader": [],
        "main_department": member.department,
        "extattr": {"attrs": []},
    }


def _in_department(call: ApiCall) -> list[Member]:
    wanted = call.query("department_id")
    if wanted not in {str(department.id) for department in call.world.config.departments}:
        raise Refused(60003, "department not found")
    return [member for member in call.world.config.members if str(member.department) == wanted]


@endpoint("user/simplelist")
def simple_users(call: ApiCall) -> Json:
    """List the members of a department by id and name."""
    people = _in_department(call)
    return {"userlist": [{"userid": m.userid, "name": m.name, "department": [m.department]} for m in people]}


@endpoint("user/list")
def users(call: ApiCall) -> Json:
    """List the members of a department in full."""
    return {"userlist": [_full(member) for member in _in_department(call)]}


def _departments(call: ApiCall) -> list[Department]:
    """Return a department and everything under it; all of them without an id."""
    every = call.world.config.departments
    if not call.query("id"):
        return list(every)
    inside = {call.query("id")}
    for department in every:
        if str(department.parent) in inside:
            inside.add(str(department.id))
    return [department for department in every if str(department.id) in inside]


@endpoint("department/simplelist")
def simple_departments(call: ApiCall) -> Json:
    """List the departments by id."""
    return {"department_id": [{"id": d.id, "parentid": d.parent, "order": 0} for d in _departments(call)]}


@endpoint("department/list")
def departments(call: ApiCall) -> Json:
    """List the departments in full."""
    listed = [
        {"id": d.id, "name": d.name, "name_en": "", "department_leader": [], "parentid": d.parent, "order": 0}
        for d in _departments(call)
    ]
    return {"department": listed}


def _check_agent(call: ApiCall) -> int:
    if call.world.app(call.query("agentid")) is not call.app:
        raise Refused(301002, "not allow operate another agent with this accesstoken")
    return call.app.agent_id


@endpoint("agent/get")
def agent(call: ApiCall) -> Json:
    """Describe the application: who may see it and whether it is open."""
    agent_id = _check_agent(call)
    return {
        "agentid": agent_id,
        "name": call.app.name,
        "square_logo_url": "",
        "description": "",
        "allow_userinfos": {"user": [{"userid": member.userid} for member in call.world.config.members]},
        "allow_partys": {"partyid": [1] if call.app.root_visible else []},
        "allow_tags": {"tagid": []},
        "close": int(call.world.faults.agent_closed),
        "redirect_domain": "127.0.0.1",
        "report_location_flag": 0,
        "isreportenter": 1,
        "home_url": "",
    }


def _check_button(button: Json) -> None:
    if button.get("type") not in BUTTON_KINDS:
        raise Refused(40024, "invalid button type")
    if button["type"] == "view" and not 0 < len(str(button.get("url", "")).encode()) <= 1024:
        raise Refused(40027, "invalid button url size")
    if button["type"] == "click" and not 0 < len(str(button.get("key", "")).encode()) <= 128:
        raise Refused(40026, "invalid button key size")


@endpoint("menu/create", post=True)
def create_menu(call: ApiCall) -> Json:
    """Publish the application's menu."""
    agent_id = _check_agent(call)
    buttons = call.body.get("button")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= TOP_BUTTONS:
        raise Refused(40016, "invalid button count")
    for button in buttons:
        below = button.get("sub_button") or []
        if len(below) > SUB_BUTTONS:
            raise Refused(40023, "invalid sub button count")
        for leaf in below or [button]:
            _check_button(leaf)
    call.world.menus[agent_id] = buttons
    call.world.touch()
    return {}


@endpoint("menu/get")
def get_menu(call: ApiCall) -> Json:
    """Return the application's menu."""
    agent_id = _check_agent(call)
    if agent_id not in call.world.menus:
        raise Refused(46003, "menu no exist")
    return {"button": call.world.menus[agent_id]}


@endpoint("menu/delete")
def delete_menu(call: ApiCall) -> Json:
    """Remove the application's menu."""
    call.world.menus.pop(_check_agent(call), None)
    call.world.touch()
    return {}
