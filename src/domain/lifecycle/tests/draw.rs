//! What a life cycle looks like.

use expect_test::expect;

use super::*;

#[test]
fn a_bookstore_drawn() {
    expect![[r#"
        test, version 1; money that comes too late: refund

        setting         default
        --------------  -------
        key_ttl         24h
        max_lines       500
        pay_within      600s
        receive_within  7d

        deadline  is due                          and then the timer asks for
        --------  ------------------------------  ---------------------------
        pay       pay_within after it is set      expire
        receive   receive_within after it is set  receive

        command  by      writes           is checked for
        -------  ------  ---------------  -----------------------------------------------------------
        place    buyer   order.placed     account, credential, store, phase, lines, known, own, funds
        pay      buyer   order.paid       known, own, credential, phase, funds, account, store, lines
        ship     seller  order.shipped    account, credential, store, known, own, phase, lines, funds
        receive  buyer   order.received   account, credential, known, own, phase, store, lines, funds
                 timer
        cancel   buyer   order.cancelled  account, credential, known, own, phase, store, lines, funds
        expire   timer   order.expired    account, credential, store, known, own, phase, lines, funds

        The first row that fits is what happens; after it, the first "then" row that fits. +name sets a deadline,
        -name clears it; +codes issues codes.

        row      from             by      to               stock    money    deadlines
        -------  ---------------  ------  ---------------  -------  -------  ---------
        place    New              buyer   AwaitingPayment  reserve           +pay
        pay      AwaitingPayment  buyer   Paid                      hold     -pay
        ship     Paid             seller  Shipped          consume           +receive
        receive  Shipped          buyer   Completed                 release  -receive
                                  timer
        cancel   AwaitingPayment  buyer   Cancelled        return            -pay
        cancel   Paid             buyer   Cancelled        return   refund
        expire   AwaitingPayment  timer   Cancelled        return            -pay
    "#]].assert_eq(&lifecycle(BOOKSTORE).table());
    expect![[r#"
        stateDiagram-v2
            [*] --> AwaitingPayment: place (buyer)
            AwaitingPayment --> Paid: pay (buyer)
            AwaitingPayment --> Cancelled: cancel (buyer)
            AwaitingPayment --> Cancelled: expire (timer)
            Paid --> Shipped: ship (seller)
            Paid --> Cancelled: cancel (buyer)
            Shipped --> Completed: receive (buyer, timer)
            Completed --> [*]
            Cancelled --> [*]
    "#]]
    .assert_eq(&lifecycle(BOOKSTORE).diagram());
}

/// With settings in `when`, rows that follow, events of another name, and notes.
#[test]
fn a_gift_card_drawn() {
    expect![[r#"
        test, version 1; money that comes too late: refund

        setting       default
        ------------  -------
        auto_deliver  false
        key_ttl       24h
        max_lines     500

        command           by       writes                 is checked for
        ----------------  -------  ---------------------  -----------------------------------------------------------
        place             staff    order.placed           account, credential, phase, lines, store, known, own, funds
        ship              staff    order.shipped          account, credential, known, own, phase, store, lines, funds
        confirm_delivery  gateway  order.delivered        credential, known, own, phase, account, store, lines, funds
        fail_delivery     gateway  order.delivery_failed  credential, known, own, phase, account, store, lines, funds
        reclassify        staff    order.reclassified     account, credential, known, own, phase, store, lines, funds

        The first row that fits is what happens; after it, the first "then" row that fits. +name sets a deadline,
        -name clears it; +codes issues codes.

        row               from            by       when               to              stock    event, note
        ----------------  --------------  -------  -----------------  --------------  -------  ----------------------
        place             New             staff                       Preparing
        ship              Preparing       staff    risk=cheated       Rejected                 order.rejected
                          DeliveryFailed
        ship              Preparing       staff    risk=ok            Completed                order.delivered
                          DeliveryFailed           delivers=nothing
        ship              Preparing       staff    risk=ok            Shipped         reserve
                          DeliveryFailed           stock=available
        ship              Preparing       staff    risk=ok            DeliveryFailed           order.delivery_failed
                          DeliveryFailed           stock=short                                 "not enough inventory"
        confirm_delivery  Shipped         gateway                     Completed       consume
        fail_delivery     Shipped         gateway                     DeliveryFailed  return
        reclassify        Preparing       staff                       (stays)
                          Shipped
                          DeliveryFailed
        then              Preparing                risk=ok            Completed
                                                   delivers=nothing
                                                   auto_deliver=true
        then              Preparing                risk=ok            Shipped         reserve
                                                   stock=available
                                                   auto_deliver=true
        then              Preparing                risk=ok            DeliveryFailed           "not enough inventory"
                                                   stock=short
                                                   auto_deliver=true
    "#]].assert_eq(&lifecycle(GIFT_CARD).table());
    expect![[r#"
        stateDiagram-v2
            [*] --> Preparing: place (staff)
            Preparing --> Rejected: ship (staff)
            Preparing --> Completed: ship (staff)
            Preparing --> Shipped: ship (staff)
            Preparing --> DeliveryFailed: ship (staff)
            Preparing --> Preparing: reclassify (staff)
            Preparing --> Completed: then (risk=ok, delivers=nothing, auto_deliver=true)
            Preparing --> Shipped: then (risk=ok, stock=available, auto_deliver=true)
            Preparing --> DeliveryFailed: then (risk=ok, stock=short, auto_deliver=true)
            Shipped --> Completed: confirm_delivery (gateway)
            Shipped --> DeliveryFailed: fail_delivery (gateway)
            Shipped --> Shipped: reclassify (staff)
            DeliveryFailed --> Rejected: ship (staff)
            DeliveryFailed --> Completed: ship (staff)
            DeliveryFailed --> Shipped: ship (staff)
            DeliveryFailed --> DeliveryFailed: ship (staff)
            DeliveryFailed --> DeliveryFailed: reclassify (staff)
            Completed --> [*]
            Rejected --> [*]
    "#]]
    .assert_eq(&lifecycle(GIFT_CARD).diagram());
}

/// Codes and cases, in the widest of the tables.
#[test]
fn a_mall_drawn() {
    let table = lifecycle(YF_MALL).table();
    assert!(table.lines().all(|line| line.chars().count() <= 110), "{table}");
    let redeem = table.lines().skip_while(|line| !line.starts_with("redeem  ")).skip(1);
    let redeem: Vec<_> = redeem.skip_while(|line| !line.starts_with("redeem  ")).take(2).collect();
    let case = table.lines().skip_while(|line| !line.starts_with("case ")).collect::<Vec<_>>();
    expect![[r#"
        redeem          Shipped          seller   kind=virtual        (stays)                   release
                                                                                                (code)

        case     from       when              about  stock   goods back  audit
        -------  ---------  ----------------  -----  ------  ----------  -----------------
        money    Paid       payment=captured  line   return              if platform_audit
                 Preparing
        goods    Completed                    units          first       if platform_audit
        virtual  Shipped    kind=virtual      codes  return              if platform_audit
    "#]].assert_eq(&(redeem.join("\n") + "\n\n" + &case.join("\n") + "\n"));
}

#[test]
fn nothing_is_left_out() {
    for text in [NATIVE, BOOKSTORE, PRINTING, GIFT_CARD, MEIDUO, YF_MALL] {
        let lifecycle = lifecycle(text);
        let (table, diagram) = (lifecycle.table(), lifecycle.diagram());
        let rows = table.lines().skip_while(|line| !line.starts_with("row ")).skip(2);
        let rows = rows.take_while(|line| !line.is_empty());
        let rows = rows.filter(|line| !line.starts_with(' ')).count();
        assert_eq!(rows, text.matches("\n[[on]]").count() + text.matches("\n[[then]]").count());
        for (name, _) in lifecycle.deadlines() {
            assert!(table.contains(&format!("+{name}\n")), "{name} in\n{table}");
        }
        for (word, phase) in Phase::ALL.map(|phase| (phase.word(), phase)) {
            let named = text.contains(&format!("{word:?}"));
            assert_eq!(table.contains(word), named, "{word} in\n{table}");
            assert_eq!(diagram.contains(word), named, "{word} in\n{diagram}");
            let end = format!("    {word} --> [*]\n");
            assert_eq!(diagram.contains(&end), named && phase.is_final(), "{word} in\n{diagram}");
        }
        for (row, command) in Word::ALL.iter().flat_map(|command| {
            lifecycle.on[*command as usize].iter().map(move |row| (row, *command))
        }) {
            if !command.case_callers().is_empty() && command != Word::OpenCase {
                continue; // May be taken anywhere.
            }
            for from in row.from.iter() {
                let to = row.to.or(from).unwrap().word();
                let from = from.map_or("[*]", Vocabulary::word);
                let arrow = format!("    {from} --> {to}: {command} ({})\n", row.by);
                assert_eq!(diagram.matches(&arrow).count(), 1, "{arrow} in\n{diagram}");
            }
        }
    }
}

#[test]
fn a_problem_says_where() {
    let problems = Lifecycle::parse(&Channel::new("test").unwrap(), "version = 1\nlate = \"x\"");
    expect!["shop.toml:2: late cannot be \"x\"; it may be refund, hold"]
        .assert_eq(&problems.unwrap_err()[0].in_file("shop.toml").to_string());
}
