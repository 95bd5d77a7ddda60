package feed

import "context"

// Hold lets nothing be signed until release is called, and returns the newest
// head: so that it can be stated as the last one by a key. Release must be
// called once.
func (p *Publisher) Hold(ctx context.Context) (held *SignedHead, release func(), err error) {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if held, err = p.held(); err != nil {
		<-p.turn
		return nil, nil, err
	}
	return held, func() { <-p.turn }, nil
}
