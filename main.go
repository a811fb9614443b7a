// MarketPrism collects market data from crypto exchanges, proves that it is
// complete, stores it and serves it. This package only starts the program.
package main

import (
	"os"

	"github.com/marketprism/marketprism/internal/cli"
)

func main() { os.Exit(cli.Main()) }
