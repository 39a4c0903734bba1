/** A page of ours as a document: fetched so, no trusted types policy forbids its content. */
export const fetchPage = (url) => new Promise((done, fail) => {
  const request = new XMLHttpRequest();
  request.open("GET", url);
  request.responseType = "document";
  request.onerror = fail;
  request.onload = () => (request.status === 200 ? done(request.response) : fail());
  request.send();
});
