"""
How a running process is asked and told: HTTP on a Unix socket, and to read on other endpoints.

In reading order:

  - C{documents}: statuses and errors as JSON documents.
  - C{request}: a request, and what it says.
  - C{control}: what is answered to a request.
  - C{acting}: carries out requests, and answers when the result is known.
  - C{gathering}: what is known of all groups, collected in short steps.
  - C{tally}: counts what happens, for metrics.
  - C{metrics}: what a metric is.
  - C{groupmetrics}: the metrics that each group has.
  - C{processmetrics}: the metrics of the process.
  - C{exposition}: the format of Prometheus; imported when metrics are asked for.
  - C{scraping}: the answer with all metrics.
  - C{events}: the last events, as documents.
  - C{streams}: the programs that read them, each at its own position.
  - C{page}: the page for browsers; its parts are in C{web}.
  - C{connections}: a request of HTTP and its answer.
  - C{opening}: opens what this process is asked on.
  - C{server}: the socket.
  - C{endpoints}: where everybody may read.
  - C{resource}: the same for the site of another application.
  - C{client}: the other side, for commands and other programs; it loads without Twisted.
"""
