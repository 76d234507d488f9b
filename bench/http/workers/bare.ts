// The least that a router must do: every request to an origin, one header added each way.

const ORIGIN = "https://web-1.example.com";

export default {
  async fetch(request: Request): Promise<Response> {
    const outgoing = new Request(ORIGIN + request.url.slice(request.url.indexOf("/", "https://".length)), request);
    outgoing.headers.set("limpet", 'origin="web-1"');
    const response = await fetch(outgoing, { redirect: "manual" });
    const answer = new Response(response.body, response);
    answer.headers.set("limpet", 'origin="web-1"');
    return answer;
  },
};
