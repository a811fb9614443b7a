// Command trades prints the trades of an instrument that are stored, and what of them is
// known to be missing; with -follow, those that come after.
//
//	go run ./docs/examples/trades [-follow] [EXCHANGE] [SYMBOL]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/marketprism/marketprism/http/client"
)

func main() {
	follow := flag.Bool("follow", false, "go on with the trades that come")
	flag.Parse()
	exchange, symbol := "binance", "BTC-USDT"
	if flag.NArg() > 1 {
		exchange, symbol = flag.Arg(0), flag.Arg(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := stored(ctx, exchange, symbol)
	if err == nil && *follow {
		err = live(ctx, exchange, symbol)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "trades:", err)
		stop()
		os.Exit(1)
	}
}

// connect makes a client of the gateway, as the environment says.
func connect() (*client.Client, error) {
	gateway := os.Getenv("MARKETPRISM_URL")
	if gateway == "" {
		gateway = "http://127.0.0.1:8083"
	}
	return client.New(client.Config{Gateways: []string{gateway}, Key: os.Getenv("MARKETPRISM_KEY")})
}

// stored prints what is stored, each record once however many arrive meanwhile.
func stored(ctx context.Context, exchange, symbol string) error {
	c, err := connect()
	if err != nil {
		return err
	}
	what := client.Query{Exchange: exchange, Symbol: symbol, Market: "spot"}
	n := 0
	for trade, err := range client.Rows[client.Trade](ctx, c, what) {
		if err != nil {
			return err
		}
		n++
		fmt.Println(trade.Time().Format("15:04:05.000"), trade.Side, trade.Amount, "at", trade.Price)
	}
	open := 0
	for gap, err := range client.Rows[client.Gap](ctx, c, what) {
		if err != nil {
			return err
		}
		if gap.Channel == "trade" && gap.Outcome != "healed" {
			open++
		}
	}
	fmt.Printf("%d trades, %d gaps of trades that were not healed\n", n, open)
	return nil
}

// live prints trades as they come, until it is ended.
func live(ctx context.Context, exchange, symbol string) error {
	c, err := connect()
	if err != nil {
		return err
	}
	what := client.Live{Kinds: []string{"trade"}, Exchanges: []string{exchange}, Symbols: []string{symbol}}
	for m, err := range c.Collector.Follow(ctx, what) {
		if err != nil {
			return err
		}
		switch m.Type {
		case client.LiveReset:
			fmt.Println("something was missed:", m.Reason)
		case client.LiveRecord:
			trade, err := client.ParseRecord[client.Trade](m.Data)
			if err != nil {
				return err
			}
			fmt.Println(trade.Time().Format("15:04:05.000"), trade.Side, trade.Amount, "at", trade.Price)
		}
	}
	return nil
}
