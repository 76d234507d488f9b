// What limpet.config.ts would be: four origins in one region, and a cookie that keeps each visitor on theirs.

export const CONFIG = {
  configRevision: 1,
  defaultRegion: "weur",
  regions: { weur: {} },
  pools: {
    web: { origins: ["web-1", "web-2", "web-3", "web-4"].map((id) => ({ id, region: "weur", url: `https://${id}.example.com` })) },
  },
  routes: [{ path: "/*", pool: "web", session: [{ issue: true }], home: "visitor" }],
  expose: false,
};
