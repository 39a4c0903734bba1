"""An invented export of Plausible's: the files and columns that its newest edition writes."""

import zipfile
from datetime import date, timedelta
from pathlib import Path

HEADERS = {
    "imported_visitors": "date,visitors,pageviews,bounces,visits,visit_duration",
    "imported_sources": "date,source,referrer,utm_source,utm_medium,utm_campaign,utm_content,utm_term,"
    "pageviews,visitors,visits,visit_duration,bounces",
    "imported_pages": "date,hostname,page,visits,visitors,pageviews,total_scroll_depth,total_scroll_depth_visits,"
    "total_time_on_page,total_time_on_page_visits",
    "imported_entry_pages": "date,entry_page,visitors,entrances,visit_duration,bounces,pageviews",
    "imported_exit_pages": "date,exit_page,visitors,visit_duration,exits,bounces,pageviews",
    "imported_custom_events": "date,name,link_url,path,visitors,events",
    "imported_locations": "date,country,region,city,visitors,visits,visit_duration,bounces,pageviews",
    "imported_devices": "date,device,visitors,visits,visit_duration,bounces,pageviews",
    "imported_browsers": "date,browser,browser_version,visitors,visits,visit_duration,bounces,pageviews",
    "imported_operating_systems": "date,operating_system,operating_system_version,"
    "visitors,visits,visit_duration,bounces,pageviews",
}
# What a day brings: beside the date the cells of each file.
DAY = {
    "imported_visitors": ["10,30,4,12,600"],
    "imported_sources": [
        '"Google","google.com","","","","","",18,6,7,300,2',
        '"","","","","","","",6,3,3,200,1',
        '"Nieuwsbrief","","nieuwsbrief","email","najaar","","",6,2,2,100,1',
    ],
    "imported_pages": [
        '"example.org","/",10,9,18,500,9,\\N,\\N',
        '"example.org","/contact",5,5,7,0,0,12,4',
        '"example.org","/dossier/123456",1,1,3,0,0,0,0',
        '"example.org","/dossier/654321",1,1,2,0,0,0,0',
    ],
    "imported_entry_pages": ['"/",9,9,500,3,25', '"/contact",3,3,100,1,5'],
    "imported_exit_pages": ['"/",7,300,8,2,20', '"/contact",4,300,4,2,10'],
    "imported_custom_events": ['"File Download","https://example.org/a.pdf","",2,3', '"engagement","","",9,99'],
    "imported_locations": ['"NL","NL-ZH",2747373,8,9,500,3,24', '"BE","",0,2,3,100,1,6'],
    "imported_devices": ['"Desktop",6,8,400,2,20', '"Laptop",1,1,100,0,4', '"Mobile",3,3,100,2,6'],
    "imported_browsers": ['"Chrome","140.0",6,8,400,2,20', '"Microsoft Edge","139.0",4,4,200,2,10'],
    "imported_operating_systems": ['"Windows","11",6,8,400,2,20', '"Mac","15.1",4,4,200,2,10'],
}


def export_texts(first: date, days: int) -> dict[str, str]:
    """The files of an export by name; every day brings the same."""
    last = first + timedelta(days=days - 1)
    texts = {}
    for kind, header in HEADERS.items():
        names = ",".join(f'"{name}"' for name in header.split(","))
        lines = [f'"{first + timedelta(days=number)}",{cells}' for number in range(days) for cells in DAY[kind]]
        texts[f"{kind}_{first:%Y%m%d}_{last:%Y%m%d}.csv"] = "\n".join([names, *lines]) + "\n"
    return texts


def write_folder(folder: Path, first: date, days: int) -> Path:
    """Such an export, unpacked."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in export_texts(first, days).items():
        (folder / name).write_text(text)
    return folder


def write_zip(path: Path, first: date, days: int) -> Path:
    """The same as Plausible gives it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for name, text in export_texts(first, days).items():
            packed.writestr(name, text)
    return path
