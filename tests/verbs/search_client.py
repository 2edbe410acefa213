"""An official client of Elasticsearch or OpenSearch against the stack: `search_client.py elasticsearch|opensearch URL`."""

import sys

name, url = sys.argv[1:]
if name == "opensearch":
    from opensearchpy import NotFoundError, OpenSearch as Client, RequestError as BadRequestError, helpers
else:
    from elasticsearch import BadRequestError, Elasticsearch as Client, NotFoundError, helpers

client = Client(url, http_compress=True)
is_open = name == "opensearch"
index = "books-" + name


def body(**parts):
    """What one client takes as a body, and the other as arguments."""
    return {"body": parts} if is_open else parts


assert client.ping()
assert client.info()["tagline"] == "You Know, for Search"
assert client.cluster.health()["status"] == "green"
client.indices.delete(index=index, ignore_unavailable=True)
mappings = {"properties": {"name": {"type": "text"}, "pages": {"type": "long"}}}
assert client.indices.create(index=index, **body(mappings=mappings))["acknowledged"]
assert client.indices.exists(index=index) and not client.indices.exists(index="nowhere")
try:
    client.indices.create(index=index)
    raise AssertionError("it was made twice")
except BadRequestError as error:
    assert "resource_already_exists_exception" in str(error), error

books = [{"name": f"Book {n} of things", "pages": n, "kind": "even" if n % 2 == 0 else "odd", "at": f"2026-11-{n % 20 + 1:02}T12:00:00Z"} for n in range(250)]
done, errors = helpers.bulk(client, ({"_index": index, "_id": n, "_source": book} for n, book in enumerate(books)), chunk_size=100, refresh=True)
assert (done, errors) == (250, [])
assert client.count(index=index)["count"] == 250
assert client.get(index=index, id="7")["_source"] == books[7]
assert client.exists(index=index, id="7") and not client.exists(index=index, id="700")
try:
    client.get(index=index, id="700")
    raise AssertionError("it found what is not there")
except NotFoundError:
    pass

found = client.search(index=index, **body(query={"bool": {"must": [{"match": {"name": "book"}}], "filter": [{"range": {"pages": {"gte": 10, "lt": 20}}}, {"term": {"kind.keyword": "even"}}]}}, sort=[{"pages": "desc"}], size=3, _source=["pages"]))
assert found["hits"]["total"] == {"value": 5, "relation": "eq"}, found["hits"]["total"]
assert [hit["_source"] for hit in found["hits"]["hits"]] == [{"pages": 18}, {"pages": 16}, {"pages": 14}]
found = client.search(index=index, **body(size=0, aggs={"kinds": {"terms": {"field": "kind.keyword"}, "aggs": {"pages": {"sum": {"field": "pages"}}}}, "days": {"date_histogram": {"field": "at", "calendar_interval": "day"}}}))
kinds = {bucket["key"]: (bucket["doc_count"], bucket["pages"]["value"]) for bucket in found["aggregations"]["kinds"]["buckets"]}
assert kinds == {"even": (125, 15500.0), "odd": (125, 15625.0)}, kinds
assert sum(bucket["doc_count"] for bucket in found["aggregations"]["days"]["buckets"]) == 250
assert len(found["aggregations"]["days"]["buckets"]) == 20

# Everything, page by page: a scroll, and a point in time.
assert {hit["_id"] for hit in helpers.scan(client, index=index, size=60, query={"query": {"match_all": {}}})} == {str(n) for n in range(250)}
if is_open:
    pit = {"id": client.create_pit(index=index, params={"keep_alive": "1m"})["pit_id"]}
else:
    pit = {"id": client.open_point_in_time(index=index, keep_alive="1m")["id"], "keep_alive": "1m"}
seen, after = [], {}
while True:
    hits = client.search(**body(pit=pit, sort=[{"pages": "asc"}], size=99, **after))["hits"]["hits"]
    if not hits:
        break
    seen += [hit["_source"]["pages"] for hit in hits]
    after = {"search_after": hits[-1]["sort"]}
assert seen == list(range(250)), len(seen)
if not is_open:
    assert client.close_point_in_time(id=pit["id"])["succeeded"]

answers = client.msearch(**({"body": [{"index": index}, {"size": 0}, {"index": "nowhere"}, {}]} if is_open else {"searches": [{"index": index}, {"size": 0}, {"index": "nowhere"}, {}]}))
assert [answer["status"] for answer in answers["responses"]] == [200, 404]
assert client.update(index=index, id="7", **body(doc={"pages": 700}))["result"] == "updated"
assert client.get(index=index, id="7")["_source"]["pages"] == 700
assert client.delete(index=index, id="7")["result"] == "deleted"
created = client.index(index=index, **({"body": {"name": "new"}} if is_open else {"document": {"name": "new"}}))
assert created["result"] == "created" and len(created["_id"]) == 20
assert client.indices.get_mapping(index=index)[index]["mappings"]["properties"]["kind"]["fields"]["keyword"]["type"] == "keyword"
assert client.indices.put_index_template(name="things", **body(index_patterns=["things-*"]))["acknowledged"]
assert client.indices.get_index_template(name="things")["index_templates"][0]["name"] == "things"
assert index in [line["index"] for line in client.cat.indices(format="json")]
assert index in client.cat.indices()
try:
    client.search(index=index, **body(query={"geo_shape": {}}))
    raise AssertionError("it took what it cannot do")
except BadRequestError as error:
    assert "unknown query [geo_shape]" in str(error), error

# The stack's own events are the index of emqttd's logger.
events = client.search(index="mqtt", **body(query={"term": {"event": "client_connected"}}))
assert events["hits"]["total"]["value"] >= 1
assert events["hits"]["hits"][0]["_source"]["client_id"] == "searched"
assert client.indices.delete(index=index)["acknowledged"]
