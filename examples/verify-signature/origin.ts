// `ORIGIN_SIGNATURE_KEY=… node examples/verify-signature/origin.ts --port 9201 [--authority weur-1.example.com]`: the origin as a process.
// Keys are comma-separated, as the router's are.

import { parseArgs } from "node:util";
import { startOrigin } from "./origin-server.ts";

const { values } = parseArgs({ options: { port: { type: "string", default: "9201" }, authority: { type: "string" } } });
const keys = (process.env["ORIGIN_SIGNATURE_KEY"] ?? "").split(",").flatMap((key) => key.trim() || []);
if (keys.length === 0) {
  console.error("ORIGIN_SIGNATURE_KEY is not set: it is the key, or the keys, that the router's requests may be signed with.");
  process.exit(1);
}
const { authority } = values;
const { url } = await startOrigin({ port: Number(values.port), keys, ...(authority === undefined ? {} : { authority }) });
console.log(`Listening on ${url}, for the router alone.`);
