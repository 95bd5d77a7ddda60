package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"time"
)

var _ Node = (*Client)(nil)

// Client reaches the running node of a directory. Its methods are those of
// [Node]; when no node runs there they return [ErrNotRunning], whose text names
// the command that starts it.
type Client struct {
	dir  string
	http *http.Client
}

// NewClient is a client for the node of a directory. It connects when it is
// used.
func NewClient(dir string) *Client {
	return &Client{dir, &http.Client{Transport: &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) },
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}}}
}

// Close ends the connection.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// noAnswer is a node that stopped, or was stopped, while it was asked.
func (c *Client) noAnswer(err error) error {
	return &Error{
		Class: Failed, Code: "no_answer", Message: fmt.Sprintf("The node in %s stopped before it had answered.", c.dir), Detail: err.Error(),
		Next: fmt.Sprintf("Start it again if it does not run: waymark serve --dir %s. Then see how things stand with waymark status, and do it again if it was not done.", c.dir),
	}
}

// send makes a request. The caller closes the body of the answer.
func (c *Client) send(ctx context.Context, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node"+path, body)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // the address of the request says nothing to a person
		}
		if e, ok := errors.AsType[*Error](err); ok {
			return nil, e
		}
		if errors.Is(err, ErrNotRunning) || ctx.Err() != nil {
			return nil, err
		}
		return nil, c.noAnswer(err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	e := new(Error)
	if err := readAnswer(res.Body, maxRequest, e); err != nil || e.Message == "" {
		return nil, fmt.Errorf("the node in %s answered %s", c.dir, res.Status)
	}
	return nil, e
}

func (c *Client) ask(ctx context.Context, path string, in, out any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	if len(raw) > maxRequest {
		return &Error{Class: Usage, Code: "too_large", Message: "The request is larger than 1 MiB.", Next: "Do it in several parts."}
	}
	res, err := c.send(ctx, path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := readAnswer(res.Body, maxAnswer, out); err != nil {
		return fmt.Errorf("%w: %w", errShort, err)
	}
	return nil
}

// Status is as in [Node].
func (c *Client) Status(ctx context.Context) (out Status, err error) {
	return out, c.ask(ctx, "/v1/status", request{}, &out)
}

// Search is as in [Node].
func (c *Client) Search(ctx context.Context, form map[string][]string) (out json.RawMessage, err error) {
	return out, c.ask(ctx, "/v1/search", request{Form: form}, &out)
}

// Listings is as in [Node].
func (c *Client) Listings(ctx context.Context, f Filter) (out []Summary, err error) {
	return out, c.ask(ctx, "/v1/listings", request{Filter: f}, &out)
}

// Listing is as in [Node].
func (c *Client) Listing(ctx context.Context, id string) (out json.RawMessage, err error) {
	return out, c.ask(ctx, "/v1/listing", request{ID: id}, &out)
}

// Check is as in [Node].
func (c *Client) Check(ctx context.Context, ids []string) (out []Checked, err error) {
	return out, c.ask(ctx, "/v1/check", request{IDs: ids}, &out)
}

// Publish is as in [Node].
func (c *Client) Publish(ctx context.Context, ids []string) (out []Summary, err error) {
	return out, c.ask(ctx, "/v1/publish", request{IDs: ids}, &out)
}

// Unpublish is as in [Node].
func (c *Client) Unpublish(ctx context.Context, ids []string) (out []Summary, err error) {
	return out, c.ask(ctx, "/v1/unpublish", request{IDs: ids}, &out)
}

// Confirm is as in [Node].
func (c *Client) Confirm(ctx context.Context, ids []string) (out []Summary, err error) {
	return out, c.ask(ctx, "/v1/confirm", request{IDs: ids}, &out)
}

// Delete is as in [Node].
func (c *Client) Delete(ctx context.Context, ids []string) (out []Summary, err error) {
	return out, c.ask(ctx, "/v1/delete", request{IDs: ids}, &out)
}

// Invite is as in [Node].
func (c *Client) Invite(ctx context.Context, country string, expiry time.Duration) (out Invitation, err error) {
	return out, c.ask(ctx, "/v1/invite", request{Country: country, Expiry: expiry}, &out)
}

// Join is as in [Node].
func (c *Client) Join(ctx context.Context, invitation string, wait bool) (out Joined, err error) {
	return out, c.ask(ctx, "/v1/join", request{Invitation: invitation, Wait: wait}, &out)
}

// Pending is as in [Node].
func (c *Client) Pending(ctx context.Context) (out []Pending, err error) {
	return out, c.ask(ctx, "/v1/pending", request{}, &out)
}

// Approve is as in [Node].
func (c *Client) Approve(ctx context.Context, country, numbers string) (out Pending, err error) {
	return out, c.ask(ctx, "/v1/approve", request{Country: country, Numbers: numbers}, &out)
}

// Import is as in [Node]. An error from rows is returned as it is, and the node
// takes nothing in.
func (c *Client) Import(ctx context.Context, rows iter.Seq2[Row, error], o ImportOptions) (out ImportReport, err error) {
	body, w := io.Pipe()
	defer body.Close()
	failed := make(chan error, 1)
	go func() {
		err := writeRows(w, rows)
		w.CloseWithError(err) // nil is the end; anything else tears the request
		failed <- err
	}()
	res, err := c.send(ctx, "/v1/import?"+o.query().Encode(), body)
	if err != nil {
		body.Close()
		if ferr := <-failed; ferr != nil && !errors.Is(ferr, io.ErrClosedPipe) && !errors.Is(err, ErrNotRunning) {
			return out, ferr // the cause: the rows could not be read
		}
		return out, err
	}
	defer res.Body.Close()
	if err := readAnswer(res.Body, maxAnswer, &out); err != nil {
		return out, fmt.Errorf("%w: %w", errShort, err)
	}
	body.Close()
	<-failed // rows are not used after the return
	return out, nil
}

// Export is as in [Node]. When it returns an error, what was written to w is not
// whole.
func (c *Client) Export(ctx context.Context, w io.Writer, o ExportOptions) error {
	raw, err := json.Marshal(request{IDs: o.IDs, Published: o.Published})
	if err != nil {
		return err
	}
	res, err := c.send(ctx, "/v1/export", bytes.NewReader(raw))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return copyStream(w, res)
}

// Running reports whether a node answers at the socket of a directory.
func Running(ctx context.Context, dir string) bool {
	c, err := dial(ctx, dir)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
