// The console works without this file: it turns the drawn chart into a lively one and keeps the figures fresh.
import { showBusy } from "./busy.js";
import { drawCharts, printCharts } from "./chart.js";
import { closeMenus } from "./menus.js";
import { keepFresh } from "./refresh.js";
import { rememberTabs } from "./tabs.js";

rememberTabs(document);
closeMenus(document);
showBusy(document);
drawCharts(document);
printCharts();
keepFresh(drawCharts);
