"""What the invented firm wrote for its knowledge base: four articles, each with a topic."""

import msgspec


class Article(msgspec.Struct, frozen=True):
    """One article; `sections` are (heading, paragraph), `video` the name of an embedded film or empty."""

    path: str
    topic: str
    title: str
    summary: str
    minutes: int
    sections: tuple[tuple[str, str], ...]
    video: str = ""


ARTICLES = (
    Article(
        path="/artikelen/veertiendagenbrief",
        topic="Incassokosten",
        title="De veertiendagenbrief: de laatste kosteloze kans",
        summary="Incassokosten mogen pas na een brief die aan vaste regels voldoet. Dit staat erin.",
        minutes=4,
        sections=(
            (
                "Waarom deze brief er is",
                "Wie een rekening vergeet, verdient een herinnering zonder boete. Daarom moet een"
                " bedrijf een consument eerst veertien dagen geven om alsnog te betalen, zonder "
                "extra kosten.",
            ),
            (
                "Wat erin moet staan",
                "Het bedrag dat openstaat, de termijn van veertien dagen die begint op de dag "
                "nadat de brief is bezorgd, en de precieze incassokosten die volgen als betaling "
                "uitblijft.",
            ),
            (
                "Als de brief niet klopt",
                "Dan zijn de incassokosten niet verschuldigd. De rekening zelf blijft wel staan.",
            ),
        ),
    ),
    Article(
        path="/artikelen/betalingsregeling-treffen",
        topic="Betalingsregeling",
        title="Een betalingsregeling die u volhoudt",
        summary="In vier stappen van een stapel enveloppen naar één bedrag per maand.",
        minutes=5,
        sections=(
            (
                "Begin met wat er binnenkomt",
                "Zet inkomen en vaste lasten naast elkaar. Wat overblijft is de grens van een "
                "regeling, niet het begin van de onderhandeling.",
            ),
            (
                "Bel voordat de termijn verloopt",
                "Een regeling vooraf kost bijna nooit iets. Een regeling achteraf vaak wel. Vijf "
                "minuten bellen scheelt meestal veertig euro.",
            ),
            (
                "Laat het opschrijven",
                "Vraag om een bevestiging met het bedrag, de dag van de maand en wat er gebeurt "
                "als het één keer niet lukt.",
            ),
        ),
        video="regeling-in-vier-stappen",
    ),
    Article(
        path="/artikelen/beslagvrije-voet",
        topic="Beslag",
        title="Beslag op inkomen: wat blijft er over?",
        summary="De beslagvrije voet is het deel van het inkomen waar niemand aan mag komen.",
        minutes=6,
        sections=(
            (
                "Een bodem onder het inkomen",
                "Ook met beslag moet iemand de huur, de zorgverzekering en de boodschappen kunnen"
                " betalen. De wet legt daarom een bodem: de beslagvrije voet.",
            ),
            (
                "Wie rekent hem uit",
                "De deurwaarder, met gegevens over inkomen, huishouden en woonlasten. Klopt er "
                "iets niet, dan kan de berekening met terugwerkende kracht worden hersteld.",
            ),
            (
                "Wat u zelf kunt doen",
                "Controleer de berekening binnen vier weken en stuur bewijs van wat er veranderd is.",
            ),
        ),
    ),
    Article(
        path="/artikelen/facturen-sneller-betaald",
        topic="Ondernemers",
        title="Zeven gewoonten van bedrijven die op tijd betaald krijgen",
        summary="De meeste late betalingen beginnen bij een onduidelijke factuur. Dat is goed nieuws.",
        minutes=3,
        sections=(
            (
                "Factureer dezelfde dag",
                "Elke dag die u wacht met factureren, wacht u ook op uw geld. En uw klant weet "
                "vandaag nog waar het over gaat.",
            ),
            (
                "Noem een datum, geen termijn",
                "‘Uiterlijk 14 december’ werkt beter dan ‘binnen 30 dagen’. Niemand hoeft dan te rekenen.",
            ),
            (
                "Herinner vóór de vervaldag",
                "Een vriendelijk bericht drie dagen van tevoren haalt de helft van de late betalingen weg.",
            ),
        ),
    ),
)
TOPICS = {article.path: article.topic for article in ARTICLES}
