package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/client"
)

// accessOptions are those of commands that ask the gateway.
type accessOptions struct{ serviceOptions }

func newAccessOptions() *accessOptions {
	return &accessOptions{serviceOptions{service: cluster.Gateway}}
}

const accessTimeout = 30 * time.Second

// askGateway asks the gateway for something, within a time.
func askGateway[T any](ctx context.Context, o *accessOptions, s streams, what func(context.Context, *client.Gateway) (T, error)) (answer T, err error) {
	ctx, cancel := context.WithTimeout(ctx, accessTimeout)
	defer cancel()
	c, err := o.client(ctx, s)
	if err != nil {
		return answer, err
	}
	answer, err = what(ctx, c.Gateway)
	if err = o.judged(err); client.StatusOf(err) == http.StatusForbidden {
		err = fmt.Errorf("%w; give an administrator's API key in %s or %s", err, keyVariable, keyFileVariable)
	}
	return answer, err
}

// clientAt asks one service at its address, with what the command shows of itself. A
// command is told at once what is wrong: nothing is asked for twice.
func clientAt(ctx context.Context, service, base string) (*client.Client, error) {
	cfg := client.Config{Services: map[string]string{service: base}, Attempts: 1}
	if k, ok := ctx.Value(callerKey{}).(*caller); ok {
		cfg.HTTP = k
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, usage("%w", err)
	}
	return c, nil
}

// refused makes wrong usage of an answer that says what is wrong with the request.
func refused(err error) error {
	status := client.StatusOf(err)
	if status/100 == 4 && status != http.StatusTooManyRequests {
		return &exitError{ExitUsage, err}
	}
	return err
}

// judged is refused, and says of a service that does not answer that it may not run.
func (o *serviceOptions) judged(err error) error {
	var said *exitError
	if err == nil || client.StatusOf(err) != 0 || errors.As(err, &said) {
		return refused(err)
	}
	return fmt.Errorf("asking the %s (does it run?): %w", o.service, err)
}
