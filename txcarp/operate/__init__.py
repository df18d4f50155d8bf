"""
How a running process is asked and told: HTTP on a Unix socket.

In reading order:

  - C{documents}: statuses and errors as JSON documents.
  - C{control}: what is answered to a request.
  - C{acting}: carries out requests, and answers when the result is known.
  - C{gathering}: the status of all groups, made in short steps.
  - C{connections}: a request of HTTP and its answer.
  - C{server}: the socket.
"""
