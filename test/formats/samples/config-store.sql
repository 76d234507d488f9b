-- The configurations that a ring object or a carrier keeps, as this version writes them.
CREATE TABLE configs (name TEXT PRIMARY KEY, revision INTEGER NOT NULL, text TEXT NOT NULL, bundle_hash INTEGER NOT NULL);
INSERT INTO configs VALUES ('applied', 8, '{"configRevision":8,"defaultRegion":"weur"}', 305419896);
INSERT INTO configs VALUES ('last', 7, '{"configRevision":7,"defaultRegion":"weur"}', 0);
