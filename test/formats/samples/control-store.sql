-- What the control object has written down, as this version writes it.
CREATE TABLE revisions (seq INTEGER PRIMARY KEY AUTOINCREMENT, revision INTEGER NOT NULL, text TEXT NOT NULL, source TEXT NOT NULL, bundle_hash INTEGER NOT NULL, at_ms INTEGER NOT NULL, who TEXT NOT NULL, why TEXT);
CREATE TABLE audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, revision INTEGER NOT NULL, why TEXT, changes TEXT NOT NULL, change_count INTEGER NOT NULL);
CREATE TABLE outbox (target TEXT PRIMARY KEY, revision INTEGER NOT NULL);
CREATE TABLE retired (pool TEXT NOT NULL, region TEXT NOT NULL, PRIMARY KEY (pool, region));
INSERT INTO revisions VALUES (1, 7, '{"configRevision":7,"defaultRegion":"weur"}', 'bundle', 305419896, 1800000000000, 'bundle', NULL);
INSERT INTO revisions VALUES (2, 8, '{"configRevision":8,"defaultRegion":"weur"}', 'applied', 305419896, 1800000000000, 'anna', 'more room');
INSERT INTO audit VALUES (1, 1800000000000, 'anna', 'apply', 8, 'more room', '[{"path":"configRevision","what":"changed","before":7,"after":8}]', 1);
INSERT INTO outbox VALUES ('kv', 8);
INSERT INTO outbox VALUES ('web@weur', 8);
INSERT INTO retired VALUES ('old', 'weur');
