// The least that a router must do: the origin's 101 goes back untouched, and the runtime carries the frames.

const ORIGIN = "https://web-1.example.com";

export default {
  fetch(request: Request): Promise<Response> {
    return fetch(ORIGIN + new URL(request.url).pathname, request);
  },
};
