"""What Account Engagement serves to browsers and forms: form handlers, the tracker's scripts, and its collector.

A form handler answers 302 to success and failure alike; only where to tells them apart.
"""

import re
from urllib.parse import parse_qsl

import msgspec

from gateway.receivers.incoming import Answer, Incoming, refuse

HANDLER = re.compile(r"/l/(\d+)/\d{4}-\d{2}-\d{2}/[A-Za-z0-9]+\Z")
COLLECTOR, NEW_SCRIPT, OLD_SCRIPT = "/analytics", "/pdt.js", "/pd.js"
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+\Z")
IDENTITY = ("pi_email", "pi_em", "pi_list_email", "_kk")
OFFSET = 1000  # the page's numbers are the real ones and a thousand
VISITOR, SIGNATURE = "423581070", "0" * 104


class Submission(msgspec.Struct, frozen=True):
    """One accepted form: its fields, and the visitor it belongs to (empty: none, as in kiosk mode)."""

    fields: dict[str, str]
    visitor: str


class PardotPages:
    """One account's tracker domain. `kiosk`: the handler takes forms without a visitor's cookies as nobody's."""

    prefix = ""  # a tracker domain is a host of its own

    def __init__(
        self, account: int, campaign: int, success: str, error: str, fields: tuple[str, ...], kiosk: bool = True
    ) -> None:
        self._account, self._campaign = account, campaign
        self._success, self._error, self._fields, self._kiosk = success, error, fields, kiosk
        self.submissions: list[Submission] = []
        self.views: list[dict[str, str]] = []
        self.opted_out: list[dict[str, str]] = []

    def take(self, request: Incoming) -> Answer:
        """A form, a script or a page view; 404 for all else."""
        if match := HANDLER.match(request.path):
            return self._submit(request, int(match[1]))
        if request.path == COLLECTOR and request.method == "GET":
            return self._collect(request)
        if request.path in (NEW_SCRIPT, OLD_SCRIPT) and request.method == "GET":
            script = _NEW if request.path == NEW_SCRIPT else _OLD
            note = f"{request.path} fetched"
            return Answer(200, script.encode(), {"content-type": "text/javascript"}, note)
        return refuse(404, "no such address on the tracker domain")

    def _submit(self, request: Incoming, account: int) -> Answer:
        if account != self._account:
            return refuse(404, "no such account")
        if request.method != "POST":
            return refuse(405, "wanted a POST")
        fields = request.parse_form()
        fault = self._find_fault(fields)
        if fault or fields is None:
            return Answer(302, headers={"location": self._error}, note=fault, fault=True)
        cookies = dict(parse_qsl(request.headers.get("cookie", "").replace("; ", "&")))
        visitor = cookies.get(f"visitor_id{account}", "")
        if visitor and f"visitor_id{account}-hash" not in cookies:
            visitor = ""
        if not visitor and not self._kiosk:
            visitor = "server"  # everybody's forms become this one visitor's
        self.submissions.append(Submission(fields, visitor))
        note = f"form of {fields['email']}: {', '.join(sorted(fields))}"
        return Answer(302, headers={"location": self._success}, note=note)

    def _find_fault(self, fields: dict[str, str] | None) -> str:
        if fields is None:
            return "wanted application/x-www-form-urlencoded"
        if {"success_location", "error_location"} & fields.keys():
            return "a form names where it leads to"
        if not ADDRESS.match(fields.get("email", "")):
            return "email is missing or no address"
        strange = sorted(fields.keys() - {"email", *self._fields})
        return f"unmapped field {strange[0]}" if strange else ""

    def _collect(self, request: Incoming) -> Answer:
        fields = request.parse_query()
        numbers = (fields.get("account_id"), fields.get("campaign_id"))
        if fields.get("ver") != "3" or numbers != (str(self._account + OFFSET), str(self._campaign + OFFSET)):
            return refuse(400, "account_id and campaign_id are the real numbers and 1000")
        if identity := [name for name in IDENTITY if name in fields or f"{name}=" in fields.get("url", "")]:
            return Answer(200, b"", note=f"{identity[0]} binds this visitor to whoever is named", fault=True)
        if fields.get("pi_opt_in") == "false":
            self.opted_out.append(fields)
            return Answer(200, b"", {"content-type": "text/javascript"}, "opted out")
        self.views.append(fields)
        body = _RESPONSE % {"account": self._account, "visitor": VISITOR, "signature": SIGNATURE}
        return Answer(200, body.encode(), {"content-type": "text/javascript"}, f"page view: {fields.get('url', '')}")


_RESPONSE = """function piResponse(){piSetCookie('visitor_id%(account)d','%(visitor)s',3650);
piSetCookie('visitor_id%(account)d-hash','%(signature)s',3650);}
piResponse();
"""
_SHARED = """function piSetCookie(name,value,days){document.cookie=name+'='+encodeURIComponent(value)+
';path=/;max-age='+(days*86400)}
function piAsk(host,fields){var s=document.createElement('script'),q=[];
for(var k in fields){q.push(k+'='+encodeURIComponent(fields[k]))}
s.src='//'+host+'/analytics?'+q.join('&');document.head.appendChild(s)}
"""
_NEW = (
    _SHARED
    + """(function(){var w={},queue=window.pdt&&window.pdt.cq||[];
function cookie(){return 'pi_opt_in'+(w.account-1000)}
function agreed(){return document.cookie.indexOf(cookie()+'=true')>=0}
var known={create:function(a,c,h){w={account:+a,campaign:+c,host:h}},
setOptIn:function(yes){piSetCookie(cookie(),yes?'true':'false',365)},
sendPageView:function(){if(agreed()){piAsk(w.host,{ver:3,visitor_id:'',visitor_id_sign:'',pi_opt_in:'true',
campaign_id:w.campaign,account_id:w.account,title:document.title,url:location.href,referrer:document.referrer})}},
revokeConsent:function(){var n='visitor_id'+(w.account-1000);piSetCookie(n,'',-1);piSetCookie(n+'-hash','',-1);
piSetCookie(cookie(),'false',365)}};
window.pdt=function(){var a=[].slice.call(arguments);known[a[0]]&&known[a[0]].apply(null,a.slice(1))};
for(var i=0;i<queue.length;i++){window.pdt.apply(null,queue[i])}})();
"""
)
_OLD = (
    _SHARED
    + """if(document.cookie.indexOf('pi_opt_in'+(piAId-1000)+'=false')<0){piAsk(piHostname,{ver:3,visitor_id:'',
visitor_id_sign:'',pi_opt_in:'',campaign_id:piCId,account_id:piAId,title:document.title,url:location.href,
referrer:document.referrer})}
"""
)
