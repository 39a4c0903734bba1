"""The careless site as a Django project and as a Flask app, made from the very recipes of docs/wsgi.md."""

import re
from pathlib import Path
from textwrap import dedent

from tests.journeys.mode_site import COOKIES, PAGE

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "wsgi.md"
# What a project has before anybody reads our docs. Its server writes no log of its own: it would name visitors.
DJANGO = {
    "mysite/__init__.py": "",
    "mysite/settings.py": """
        SECRET_KEY = "of the test"
        ALLOWED_HOSTS = ["*"]
        ROOT_URLCONF = "mysite.urls"
        MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware", "django.middleware.common.CommonMiddleware"]
        TEMPLATES = [{
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": ["."],
            "OPTIONS": {"context_processors": []},
        }]
        LOGGING = {"version": 1, "disable_existing_loggers": False, "loggers": {"django.server": {"level": "CRITICAL"}}}
        """,
    "mysite/urls.py": f"""
        from django.shortcuts import render
        from django.urls import re_path

        def page(request):
            answer = render(request, "page.html")
            for name in {COOKIES}:
                answer.set_cookie(name, "1", samesite="Lax")
            return answer

        urlpatterns = [re_path("", page)]
        """,
}
FLASK = f"""
    import logging

    from flask import make_response, render_template

    logging.getLogger("werkzeug").setLevel("CRITICAL")
    app.template_folder = app.root_path

    @app.get("/")
    @app.get("/<path:path>")
    def page(path=""):
        answer = make_response(render_template("page.html"))
        for name in {COOKIES}:
            answer.set_cookie(name, "1", samesite="Lax")
        return answer
    """


def write_django(folder: Path, tags: str) -> list[str]:
    """Write the project; returns the arguments for Python that run Django's own server, without its port."""
    for name, source in DJANGO.items():
        _append(folder / name, source)
    for name, source in _recipes().items():
        if "/" in name:
            _append(folder / name, source)
    _append(folder / "page.html", PAGE.format(tags=tags + _template("django")))
    return ["-m", "django", "runserver", "--noreload", "--settings", "mysite.settings"]


def write_flask(folder: Path, tags: str) -> list[str]:
    """Write the app; returns the arguments for Python that run Flask's own server, without its port."""
    _append(folder / "app.py", _recipes()["app.py"])
    _append(folder / "app.py", FLASK)
    _append(folder / "page.html", PAGE.format(tags=tags + _template("jinja")))
    return ["-m", "flask", "--app", "app", "run", "--port"]


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(dedent(text) + "\n")


def _recipes() -> dict[str, str]:
    """The documented Python files by the names in their first lines."""
    found = re.findall(r"```python\n# (\S+)\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    return dict(found)


def _template(language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    return str(block)
