// KV as a namespace binding speaks it: a value under a path. Nothing expires, nothing lags.

const values = new Map<string, string>();

export default {
  async fetch(request: Request): Promise<Response> {
    const key = new URL(request.url).pathname;
    if (request.method === "PUT") values.set(key, await request.text());
    const value = values.get(key);
    return value === undefined ? new Response(null, { status: 404 }) : new Response(request.method === "PUT" ? null : value);
  },
};
