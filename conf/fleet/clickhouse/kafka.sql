-- From Kafka or Redpanda into `arrivals`: after schema.sql. conf/fleet/kafka has the topics and what fills them.
--
-- RawBLOB: one message is one line, byte for byte. A message is committed after its lines are stored, so some may be stored
-- twice after a crash, and none is left out.

CREATE TABLE IF NOT EXISTS tetherd.queue
(
    line String
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = 'localhost:9092',
    kafka_topic_list = 'tetherd.records',
    kafka_group_name = 'clickhouse',
    kafka_format = 'RawBLOB',
    kafka_num_consumers = 1,
    kafka_max_block_size = 65536,
    kafka_flush_interval_ms = 5000,
    kafka_thread_per_consumer = 1;

-- The broker's time, if the topic has message.timestamp.type=LogAppendTime: a line that is read again keeps it, and no node
-- can choose it. The origin is what follows the name of the topic: `tetherd.records.eu1` is from `eu1`, and the brokers'
-- access lists say who may write there.
CREATE MATERIALIZED VIEW IF NOT EXISTS tetherd.from_queue TO tetherd.arrivals AS
SELECT
    line,
    extract(_topic, '^tetherd\\.records\\.?(.*)$') AS origin,
    toDateTime64(coalesce(_timestamp_ms, now64(3)), 3, 'UTC') AS received
FROM tetherd.queue;
