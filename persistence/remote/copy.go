package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/marketprism/marketprism/persistence"
)

const (
	// offerTimeout bounds the wait for one service's offer, pieceTimeout for one piece of
	// a file.
	offerTimeout = 30 * time.Second
	pieceTimeout = time.Minute
	// maxOffer bounds an offer: some 200 bytes for each file of a store.
	maxOffer = 512 << 20
	// busyPause is waited for when a service gives all it can.
	busyPause = time.Second
)

// Offers asks every storage service what it has to copy. Those that answered are in the
// map, by address; the error says why others did not.
func (r *Reader) Offers(ctx context.Context) (map[string]persistence.Offer, error) {
	addresses, err := r.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding the storage services: %w", err)
	}
	if len(addresses) == 0 {
		return nil, ErrNowhere
	}
	var (
		mu     sync.Mutex
		asking sync.WaitGroup
		offers = map[string]persistence.Offer{}
		errs   []error
	)
	for _, address := range addresses {
		asking.Go(func() {
			o, err := r.offer(ctx, address)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("asking %s for an offer: %w", address, err))
				return
			}
			offers[address] = o
		})
	}
	asking.Wait()
	return offers, errors.Join(errs...)
}

func (r *Reader) offer(ctx context.Context, address string) (o persistence.Offer, err error) {
	ctx, cancel := context.WithTimeout(ctx, offerTimeout)
	defer cancel()
	res, err := r.at(ctx, address, "copy", nil)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	var answer struct {
		Data persistence.Offer `json:"data"`
	}
	err = json.NewDecoder(io.LimitReader(res.Body, maxOffer)).Decode(&answer)
	return answer.Data, err
}

// Fetch writes the content of a file of the store at an address, from an offset to its
// end, piece by piece. Error: persistence.ErrNoCopy when it is not there any more.
func (r *Reader) Fetch(ctx context.Context, address string, f persistence.CopyFile, offset int64, to io.Writer) error {
	for offset < f.Bytes {
		n, err := r.piece(ctx, address, f, offset, to)
		offset += n
		var no *AnswerError
		switch {
		case err == nil && n > 0:
		case errors.As(err, &no) && no.Code == "busy":
			select {
			case <-time.After(busyPause):
			case <-ctx.Done():
				return ctx.Err()
			}
		case errors.As(err, &no) && no.Status == http.StatusNotFound:
			return fmt.Errorf("%w: %w", persistence.ErrNoCopy, err)
		case err != nil:
			return err
		default:
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

// piece writes one piece, and returns its size.
func (r *Reader) piece(ctx context.Context, address string, f persistence.CopyFile, offset int64, to io.Writer) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, pieceTimeout)
	defer cancel()
	res, err := r.at(ctx, address, "copy/file", url.Values{"tier": {f.Tier}, "name": {f.Name}, "offset": {strconv.FormatInt(offset, 10)}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	n, err = io.Copy(to, io.LimitReader(res.Body, f.Bytes-offset))
	if err == nil && res.ContentLength >= 0 && n != res.ContentLength {
		err = fmt.Errorf("%d bytes of a piece of %d belong to %s", n, res.ContentLength, f.Name)
	}
	return n, err
}

// at asks one service.
func (r *Reader) at(ctx context.Context, address, path string, q url.Values) (*http.Response, error) {
	at := strings.TrimSuffix(address, "/") + base + path
	if len(q) > 0 {
		at += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, fmt.Errorf("asking the storage service: %w", err)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	return nil, refusal(at, res)
}
