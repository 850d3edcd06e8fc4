"""What turns a shard into a shard: the worker, the runners around it, and the two commands on top."""
