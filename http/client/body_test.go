package client

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// bodies are the types that stand for bodies of the services.
var bodiesOf = map[string]map[string]any{
	StorageService: {
		"Adoption":        Adoption{},
		"AppliedAnswer":   Applied{},
		"ArchivedTo":      ArchivedTo{},
		"Archiving":       Archiving{},
		"Candle":          CandleRow{},
		"ColdStats":       ColdStats{},
		"ColdStats2":      ColdStore{},
		"HotStats":        HotStats{},
		"JournalStatus":   JournalStatus{},
		"Operation":       Operation{},
		"OperationOf":     OperationOf{},
		"Operations":      OperationCounts{},
		"PartInfo":        Part{},
		"PostedOrderbook": NewOrderbook{},
		"PostedTicker":    NewTicker{},
		"PostedTrade":     NewTrade{},
		"Quarantined":     Quarantined{},
		"Read":            LastRead{},
		"Registered":      JournalReader{},
		"JournalReader":   ReaderStanding{},
		"CopyStatus":      Copying{},
		"ShardStanding":   ShardStanding{},
		"ShardStatus":     ShardStatus{},
		"Standing":        JournalStanding{},
		"Stats":           StorageStats{},
		"Status":          StorageStatus{},
		"Status2":         Recorder{},
		"StoredStream":    StoredStream{},
		"TableStats":      TableStats{},
		"Tally":           Tally{},
		"WriterStatus":    WriterStatus{},
		"Written":         Written{},
	},
	SchedulerService: {
		"ChangedTask":   ChangedTask{},
		"Coming":        Coming{},
		"Details":       TaskDetails{},
		"Explanation":   Explanation{},
		"Figures":       SchedulerStatus{},
		"Message":       TaskChanged{},
		"NewTask":       NewTask{},
		"Retry":         Retry{},
		"Row":           ScheduledTask{},
		"Run":           Run{},
		"RunStarted":    RunStarted{},
		"RunsCancelled": RunsCancelled{},
	},
	BrokerService: {
		"ClaimForm":      Claim{},
		"Claimed":        ClaimedTask{},
		"CompleteForm":   completeForm{},
		"ConsumerForm":   NewConsumer{},
		"ConsumerStatus": Consumer{},
		"Delivered":      Delivered{},
		"FailForm":       failForm{},
		"Failed":         NotReplayed{},
		"FetchForm":      fetchForm{},
		"Fetched":        Fetched{},
		"Letter":         DeadLetter{},
		"LetterDetail":   DeadLetterDetail{},
		"NodeList":       BrokerNodes{},
		"PeerStatus":     BrokerNode{},
		"Progress":       Progress{},
		"ProgressForm":   progressForm{},
		"Published":      Published{},
		"Publishing":     Message{},
		"Refused":        RefusedToken{},
		"ReplayedAll":    Replayed{},
		"SettleForm":     settleForm{},
		"Settled":        Settled{},
		"StreamForm":     NewStream{},
		"StreamStatus":   Stream{},
		"Submission":     Submission{},
		"Task":           Task{},
		"TaskAnswer":     TaskAnswer{},
	},
	CollectorService: {
		"Backfill":        Backfill{},
		"BackfillRequest": BackfillRequest{},
		"Bucket":          QualityBucket{},
		"Channel":         QualityChannel{},
		"DataStats":       DataStats{},
		"Enhanced":        Book{},
		"ExchangeStatus":  ExchangeStatus{},
		"Gap":             QualityGap{},
		"Imported":        Imported{},
		"MarketOverlay":   MarketChanges{},
		"OverlayChange":   SymbolChange{},
		"Quality":         Quality{},
		"Stats":           LiveStats{},
		"Status":          CollectorStatus{},
		"Subscribed":      Subscribed{},
		"Subscription":    Subscription{},
		"Symbol":          Instrument{},
		"Totals":          CollectorTotals{},
		"Unobtainable":    Unobtainable{},
	},
	MonitoringService: {
		"About":         NodeAbout{},
		"ActiveRow":     Alert{},
		"Alerted":       AlertCounts{},
		"Bucket":        WaitBucket{},
		"BudgetStatus":  Budget{},
		"Clock":         Clock{},
		"Counted":       ServiceCounts{},
		"Drain":         Drain{},
		"Entry":         LogLine{},
		"Entry2":        AuditEntry{},
		"Event":         ActorEvent{},
		"ExchangeClock": ExchangeClock{},
		"Failure":       Failure{},
		"Health":        Health{},
		"HealthReport":  HealthReport{},
		"Instance":      InstanceHealth{},
		"Lease":         Lease{},
		"Link":          Link{},
		"Links":         ReportLinks{},
		"MailboxStatus": Mailbox{},
		"MatcherBody":   Matcher{},
		"MessageStatus": HandledMessage{},
		"Move":          Move{},
		"Node":          Actor{},
		"Node2":         Node{},
		"Pin":           Pin{}, "MovedTo": MovedTo{}, "Journal": Replication{}, "Shard": ReplicatedShard{}, "Copy": Copy{},
		"NodeTree":       NodeActors{},
		"Operated":       Operated{},
		"Ordered":        Ordered{},
		"Overview":       Overview{},
		"Owner":          Owner{},
		"PastRow":        PastAlert{},
		"Place":          Place{},
		"Placement":      Placement{},
		"Reload":         Reload{},
		"ReportHead":     Report{},
		"Resources":      Resources{},
		"Resynced":       Resynced{},
		"Setting":        Setting{},
		"SilenceBody":    NewSilence{},
		"SilenceRow":     Silence{},
		"Snapshot":       ActorTree{},
		"Stats":          MonitoringStats{},
		"StreamStanding": StreamStanding{},
		"TraceHead":      Trace{},
		"TraceSpan":      TraceSpan{},
		"View":           Cluster{},
	},
	GatewayService: {
		"DoneAnswer":   Done{},
		"InstanceView": Instance{},
		"KeyAnswer":    CreatedKey{},
		"KeyRequest":   NewAPIKey{},
		"KeyView":      APIKey{},
		"LoginAnswer":  Login{},
		"LoginUser":    LoginUser{},
		"MeAnswer":     Identity{},
		"ServiceView":  Service{},
		"UserPatch":    UserChange{},
		"UserRequest":  NewUser{},
		"UserView":     User{},
	},
}

// TestBodies: each field of a type is one of the body that it stands for, of its type.
func TestBodies(t *testing.T) {
	for service, types := range bodiesOf {
		r := readReference(t, service)
		for name, v := range types {
			if problems := r.misfits(name, reflect.TypeOf(v)); len(problems) > 0 {
				t.Errorf("%T is not %s of the %s: %s", v, name, service, strings.Join(problems, ", "))
			}
		}
	}
}

// misfits says in what a type is not a body, or any other of that name: the reference
// numbers those that have the same, in an order that may change.
func (r *reference) misfits(name string, t reflect.Type) (best []string) {
	best = []string{"there is none"}
	plain := strings.TrimRight(name, "0123456789")
	for other, says := range r.bodies {
		if strings.TrimRight(other, "0123456789") != plain {
			continue
		}
		var problems []string
		for field, typ := range fieldsOf(t) {
			said, ok := says[field]
			if !ok {
				problems = append(problems, "it has no "+field)
			} else if !fits(typ, said) {
				problems = append(problems, fmt.Sprintf("%s is %q, and not to be read into a %v", field, said, typ))
			}
		}
		if len(problems) == 0 {
			return nil
		}
		if other == name {
			best = problems
		}
	}
	return best
}

// fieldsOf are the fields of a type as JSON has them, those of embedded types too.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			for n, inner := range fieldsOf(f.Type) {
				all[n] = inner
			}
		case name != "" && name != "-":
			all[name] = f.Type
		}
	}
	return all
}

// fits reports whether a type of JSON, as the reference has it, is read into a type.
func fits(t reflect.Type, said string) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	said = strings.TrimSuffix(strings.ReplaceAll(said, " or null", ""), " ")
	switch t {
	case reflect.TypeFor[time.Time]():
		return strings.Contains(said, "date-time") || said == ""
	case reflect.TypeFor[Decimal]():
		return strings.HasPrefix(said, "number or string")
	case reflect.TypeFor[Level]():
		return said == "list of number or string" || said == "object or array"
	case reflect.TypeFor[json.RawMessage]():
		return true
	}
	switch t.Kind() {
	case reflect.String:
		return strings.HasPrefix(said, "string") || strings.HasPrefix(said, "`")
	case reflect.Bool:
		return said == "boolean"
	case reflect.Int64:
		return strings.HasPrefix(said, "integer")
	case reflect.Float64:
		return strings.HasPrefix(said, "number")
	case reflect.Slice:
		inner, ok := strings.CutPrefix(said, "list of ")
		return ok && fits(t.Elem(), inner)
	case reflect.Map:
		inner, ok := strings.CutPrefix(said, "map of ")
		return said == "" || said == "map of" || ok && fits(t.Elem(), inner)
	case reflect.Struct:
		return strings.HasPrefix(said, "[") || strings.HasPrefix(said, "map of") || said == ""
	}
	return t.Kind() == reflect.Interface
}

// TestRecords: each type of record has the fields of its kind, all of them.
func TestRecords(t *testing.T) {
	kinds := map[string]any{
		kindOf[Trade](): Trade{}, kindOf[BookDelta](): BookDelta{}, kindOf[BookSnapshot](): BookSnapshot{}, kindOf[BookTicker](): BookTicker{},
		kindOf[BookTop](): BookTop{}, kindOf[Ticker](): Ticker{}, kindOf[Candle](): Candle{}, kindOf[Funding](): Funding{},
		kindOf[MarkPrice](): MarkPrice{}, kindOf[IndexPrice](): IndexPrice{}, kindOf[OpenInterest](): OpenInterest{},
		kindOf[Liquidation](): Liquidation{}, kindOf[LongShortRatio](): LongShortRatio{}, kindOf[VolatilityIndex](): VolatilityIndex{}, kindOf[Gap](): Gap{},
	}
	for _, k := range market.Kinds() {
		v, ok := kinds[k.String()]
		if !ok {
			t.Errorf("there is no type for records of kind %s", k)
			continue
		}
		var have []string
		for name := range fieldsOf(reflect.TypeOf(v)) {
			have = append(have, name)
		}
		want := slices.Sorted(slices.Values(market.FieldNames(k)))
		if slices.Sort(have); !slices.Equal(have, want) {
			t.Errorf("a %s has\n%q, want\n%q", k, have, want)
		}
	}
}
