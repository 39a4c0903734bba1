/**
 * Before any other script of a page where a tracker reads who somebody is from the address bar: what it would read is taken out.
 */
import { cleanAddress } from "./lib/clean_address.js";

cleanAddress();
