// What a receiver in Node does with the published library: node node_webhook.cjs < [{secret, headers, body}, ...]
// Prints a list: the type of each event that was verified, null for one that was not.
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

/** As its documentation has it; an error of another kind is one of the test. */
function receive({ secret, headers, body }) {
  try {
    return new Webhook(secret).verify(body, headers).type;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return null;
    throw error;
  }
}

console.log(JSON.stringify(JSON.parse(require("fs").readFileSync(0)).map(receive)));
