// The console works without this file: it turns the drawn chart into a lively one and keeps the figures fresh.
import { drawCharts, printCharts } from "./chart.js";
import { closeMenus } from "./menus.js";
import { keepFresh } from "./refresh.js";

closeMenus(document);
drawCharts(document);
printCharts();
keepFresh(drawCharts);
