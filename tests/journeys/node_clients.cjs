// What the documentation shows (docs/clients.md), with the published packages: node node_clients.cjs URL KEY
const { default: umami, Umami } = require("@umami/node");
const MatomoTracker = require("matomo-tracker");

const [url, key] = process.argv.slice(2);
const page = (path) => `https://www.example.org${path}`;
const mine = { token_auth: key, gw_consent: "analytics", uid: "customer-20731" };

/** The status of an error, which the client emits; 0 when none has come by then. */
function track(matomo, options) {
  return new Promise((done) => {
    matomo.on("error", done);
    matomo.track(options);
    setTimeout(() => done(0), 1500);
  });
}

async function main() {
  umami.init({ hostUrl: url, websiteId: key });
  const view = { url: "/prijzen", hostname: "www.example.org", id: "customer-20731" };
  const said = {
    view: (await umami.track({ ...view, gw_consent: "analytics" })).status,
    event: (await umami.track("signup", { plan: "large", gw_consent: "analytics", gw_visitor: "customer-20731" })).status,
    identify: (await umami.identify({ plan: "large" })).status,
    unasserted: (await umami.track(view)).status,
    unknown: (await new Umami({ hostUrl: url, websiteId: "b3d1" }).track({ ...view, gw_consent: "analytics" })).status,
  };
  const matomo = () => new MatomoTracker(1, `${url}/matomo.php`);
  [said.single, said.refused] = await Promise.all([
    track(matomo(), { url: page("/contact"), action_name: "Contact", ...mine }),
    track(matomo(), { url: page("/contact"), uid: "customer-20731", token_auth: key }),
  ]);
  const events = ["/a", "/b"].map((path) => ({ url: page(path), ...mine }));
  events.push({ url: page("/b"), e_c: "Video", e_a: "Play", e_n: "Uitleg", ...mine });
  events.push({ url: page("/b"), ...mine, gw_consent: "no" });
  said.bulk = JSON.parse(await new Promise((done) => matomo().trackBulk(events, done)));
  console.log(JSON.stringify(said));
}

main().then(() => process.exit()); // a line kept open for more would keep it waiting
